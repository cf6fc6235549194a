package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"

	"trit/convert"
	"trit/gguf"
	"trit/hub"
	"trit/internal/layers"
	"trit/internal/profile"
	"trit/internal/validate"
	"trit/internal/version"
)

var updateJSON = flag.Bool("update", false, "rewrite docs/json")

// printed is what commands print with --json: a name, the type of the value, and command lines
// that print it. $D is a folder with files of the test; what begins with "url " asks a server, and what
// ends with <TEXT reads that.
var printed = []struct {
	name  string
	value any
	lines []string
}{
	{"bench", profile.BenchReport{}, []string{"bench --model demo -p 8 -n 4 -r 1"}},
	{"bench.kernels", profile.KernelReport{}, []string{"bench --kernels --shape tiny"}},
	{"bench.threads", threadsReport{}, []string{"bench --model demo -p 8 -n 4 -r 1 --threads 1,2"}},
	{"chat", chatResult{}, []string{"chat --model demo --greedy --max-tokens 3 <Hello"}},
	{"convert", convert.Report{}, []string{"convert -i $D/checkpoint -o $D/converted.gguf", "quantize -i demo -o $D/quantized.gguf --type tq2_0", "export -m demo -o $D/again"}},
	{"cp", hub.Model{}, []string{"cp demo twin", "create mine --file $D/Modelfile"}},
	{"embed", embedded{}, []string{`embed -m demo --json cat`}},
	{"embed.similarity", map[string]float64{}, []string{"embed -m demo --similarity cat dog"}},
	{"eval", evalResult{}, []string{"eval demo --task ../../internal/eval/testdata/facts.jsonl --limit 2", "eval demo --task ../../internal/eval/testdata/stories.jsonl --limit 1"}},
	{"infer", inferResult{}, []string{"infer -m demo -p Once --max-tokens 3", "infer -m demo -p Once --max-tokens 3 --logprobs 2 --temperature 1 --n 2", "infer -m demo -p Once --max-tokens 3 --beams 2"}},
	{"info", modelInfo{}, []string{"info -m demo", "info -m $D/hybrid.gguf"}},
	{"inspect", fileInfo{}, []string{"inspect -m demo", "inspect -m $D/hybrid.gguf"}},
	{"models", []modelInfoLine{}, []string{"models", "list"}},
	{"models.catalogue", []entryLine{}, []string{"models --catalogue"}},
	{"perplexity", perplexityResult{}, []string{"perplexity -m demo --ctx 16 --file $D/text.txt"}},
	{"profile", profile.ProfileReport{}, []string{"profile -m demo -p 8 -n 4 --layers"}},
	{"ps", []runningModel{}, []string{"url ps", "url load demo"}},
	{"pull", hub.Pulled{}, []string{"pull demo --if-missing"}},
	{"repair", convert.RepairReport{}, []string{"repair -m demo -o $D/repaired.gguf"}},
	{"rm", []hub.Removed{}, []string{"rm $D"}},
	{"show", hub.Details{}, []string{"show demo", "show $D/hybrid.gguf"}},
	{"show.catalogue", entryLine{}, []string{"show bitnet-2b-4t"}},
	{"show.template", map[string]string{}, []string{"show demo --template"}},
	{"synth", synthResult{}, []string{"synth --shape tiny $D/made.gguf"}},
	{"test-tokenizer", tokenReport{}, []string{"test-tokenizer -m demo --text hello"}},
	{"trace.compare", layers.Comparison{}, []string{"trace --compare $D/a.trace $D/a.trace"}},
	{"validate", validate.Report{}, []string{"validate -m demo --skip perplexity"}},
	{"validate.against", againstResult{}, []string{"validate -m demo --against demo --text $D/text.txt"}},
	{"validate.logits", logitsResult{}, []string{"validate -m $D/hybrid.gguf --logits $D/logits.f32 --tokens 1 --tolerance 1e9"}},
	{"validate.vectors", vectorsResult{}, []string{"validate -m $D/hybrid.gguf --vectors $D/vectors.f32 --tokens 1 --tolerance 1e9"}},
	{"version", versionResult{}, []string{"version"}},
}

// notPrinted are commands whose output with --json is no value of a type, and why.
var notPrinted = map[string]string{
	"completion": "a script", "help": "a text", "man": "pages", "demo": "a text", "serve": "the log has a form of its own", "environment": "a text", "exit-codes": "a text",
	"health": "the server's answer, which /openapi.json describes", "logs": "lines of the server's log",
	"run": "as chat", "unload": "as ps", "create": "as cp", "quantize": "as convert", "export": "as convert",
	"trace": "docs/debugging.md describes the file that --out writes, which is what --json prints",
}

// TestJSONIsDescribed: docs/json has a JSON Schema of what each command prints with --json, and
// that is what it prints.
func TestJSONIsDescribed(t *testing.T) {
	dir := t.TempDir()
	prepareJSON(t, dir)
	url, _, _ := startServe(t, "--model", "demo")
	docs := sourceComments(t)
	covered := map[string]bool{}
	for _, p := range printed {
		schema, err := jsonschema.ForType(reflect.TypeOf(p.value), &jsonschema.ForOptions{TypeSchemas: jsonForms})
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		docs.describe(schema, reflect.TypeOf(p.value), map[reflect.Type]bool{})
		schema.Schema = "https://json-schema.org/draft/2020-12/schema"
		schema.Title = "trit " + strings.ReplaceAll(p.name, ".", " --") + " --json"
		want, err := json.MarshalIndent(schema, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, '\n')
		file := filepath.Join("..", "..", "docs", "json", p.name+".json")
		if *updateJSON {
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, want, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s is not what the program has (%v); programs may read it, so changes other than new fields break them: "+
				"see docs/json/README.md, then go test ./cmd/trit -run TestJSONIsDescribed -update", file, err)
		}
		resolved, err := schema.Resolve(nil)
		if err != nil {
			t.Fatalf("%s: %v", p.name, err)
		}
		for _, line := range p.lines {
			if kind, _, _ := strings.Cut(p.name, "."); testing.Short() && slices.Contains([]string{"bench", "profile", "validate"}, kind) {
				covered[kind] = true
				continue // these take long
			}
			args := strings.Fields(strings.ReplaceAll(line, "$D", dir))
			if args[0] == "url" {
				args = append(args[1:], "--url", url)
			}
			covered[args[0]] = true
			if p.name == "rm" {
				runStore(t, "cp", "demo", "gone").expect(t, exitOK)
				args = []string{"rm", "gone"}
			}
			input := ""
			if last := args[len(args)-1]; strings.HasPrefix(last, "<") {
				args, input = args[:len(args)-1], last[1:]+"\n"
			}
			var out, errOut bytes.Buffer
			r := result{code: run(context.Background(), append(args, "--json"), strings.NewReader(input), &out, &errOut)}
			r.out, r.err = out.String(), errOut.String()
			r.expect(t, exitOK)
			var value any
			if err := json.Unmarshal([]byte(r.out), &value); err != nil {
				t.Errorf("%s: %v in %s", line, err, r.out)
			} else if err := resolved.Validate(value); err != nil {
				t.Errorf("%s prints what is not in its schema: %v\n%s", line, err, r.out)
			}
		}
	}
	for _, c := range new(app).rootCommand().Commands() {
		if !covered[c.Name()] && notPrinted[c.Name()] == "" && !c.Hidden {
			t.Errorf("nothing describes what %s prints with --json", c.Name())
		}
	}
	files, err := fs.Glob(os.DirFS(filepath.Join("..", "..", "docs", "json")), "*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !slices.ContainsFunc(printed, func(p struct {
			name  string
			value any
			lines []string
		}) bool {
			return p.name+".json" == file
		}) {
			t.Errorf("docs/json/%s describes nothing", file)
		}
	}
}

// prepareJSON makes the files that the command lines read.
func prepareJSON(t *testing.T, dir string) {
	t.Helper()
	newStore(t)
	for _, line := range []string{"export -m demo -o $D/checkpoint", "synth --shape tiny-qwen35 $D/hybrid.gguf",
		"trace -m demo --prompt Once --out $D/a.trace"} {
		runStore(t, strings.Fields(strings.ReplaceAll(line, "$D", dir))...).expect(t, exitOK)
	}
	for name, data := range map[string][]byte{
		"Modelfile": []byte("FROM demo\nSYSTEM Hello\n"),
		"text.txt":  []byte(strings.Repeat("Once upon a time there was a cat. ", 4)), "logits.f32": bytes.Repeat([]byte{0, 0, 0x80, 0x3f}, 512), "vectors.f32": bytes.Repeat([]byte{0, 0, 0x80, 0x3f}, 256),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// jsonForms are the forms of types that marshal themselves.
var jsonForms = map[reflect.Type]*jsonschema.Schema{
	reflect.TypeFor[json.RawMessage]():   {},
	reflect.TypeFor[layers.Number]():     {Types: []string{"number", "string"}},
	reflect.TypeFor[layers.Values]():     {Type: "array", Items: &jsonschema.Schema{Types: []string{"number", "string"}}},
	reflect.TypeFor[layers.Checksum]():   {Type: "string"},
	reflect.TypeFor[gguf.Type]():         {Type: "string"},
	reflect.TypeFor[validate.Distance](): {Types: []string{"number", "null"}},
}

// comments are those of fields and types in the sources, by package, type and field.
type comments map[string]string

// sourceComments reads the comments of the module's packages.
func sourceComments(t *testing.T) comments {
	t.Helper()
	found := comments{}
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() && (strings.HasPrefix(d.Name(), ".") && path != root || d.Name() == "testdata" || d.Name() == "node_modules") {
			if d != nil && d.IsDir() && err == nil {
				return filepath.SkipDir
			}
			return err
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, decl := range f.Decls {
			g, ok := decl.(*ast.GenDecl)
			if !ok || g.Tok != token.TYPE {
				continue
			}
			for _, spec := range g.Specs {
				s, ok := spec.(*ast.TypeSpec).Type.(*ast.StructType)
				if !ok {
					continue
				}
				for _, field := range s.Fields.List {
					text := field.Doc.Text()
					if text == "" {
						text = field.Comment.Text()
					}
					for _, name := range field.Names {
						found[filepath.ToSlash(relative)+" "+spec.(*ast.TypeSpec).Name.Name+" "+name.Name] = strings.Join(strings.Fields(text), " ")
					}
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// describe gives the fields in a schema the comments of their declarations, and allows others:
// a later version may have more.
func (c comments) describe(s *jsonschema.Schema, t reflect.Type, within map[reflect.Type]bool) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.Slice, reflect.Array:
		if s.Items != nil {
			c.describe(s.Items, t.Elem(), within)
		}
	case reflect.Map:
		if s.AdditionalProperties != nil {
			c.describe(s.AdditionalProperties, t.Elem(), within)
		}
	case reflect.Struct:
		if within[t] || len(s.Properties) == 0 {
			return
		}
		within[t] = true
		defer delete(within, t)
		s.AdditionalProperties = nil
		for _, field := range reflect.VisibleFields(t) {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			property := s.Properties[name]
			if property == nil || field.Anonymous {
				continue
			}
			owner := t
			for _, i := range field.Index[:len(field.Index)-1] {
				if owner = owner.Field(i).Type; owner.Kind() == reflect.Pointer {
					owner = owner.Elem()
				}
			}
			pkg := strings.TrimPrefix(strings.TrimPrefix(owner.PkgPath(), modulePath()), "/")
			if pkg == "main" {
				pkg = "cmd/trit"
			}
			property.Description = c[pkg+" "+owner.Name()+" "+field.Name]
			c.describe(property, field.Type, within)
		}
	}
}

// modulePath is what all packages of the module begin with, whatever it is called.
func modulePath() string {
	return strings.TrimSuffix(reflect.TypeFor[version.Info]().PkgPath(), "/internal/version")
}
