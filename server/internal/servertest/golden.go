package servertest

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trit"
	"trit/internal/generate"
	"trit/internal/inside"
	"trit/sample"
	"trit/server/core"
	"trit/tokenizer"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// Updating reports whether files of expected results are to be rewritten.
func Updating() bool { return *update }

// Case is a request of which a golden file says what it becomes.
type Case struct {
	Name, Path string
	Body       Object
	// Says are the tokens that answer it; none means one that ends at once. The
	// file has the answer to cases that have them.
	Says []string
	// Cut says that a limit ends the answer.
	Cut bool
	// Answered says that the file has the answer although no model makes it.
	Answered bool
	// In are the names of the dialects that it is sent to; none means all.
	In []string
}

// Golden sends requests to an API on models of all dialects. What reaches the
// model — the prompt, the sampling options, the stops, the constraint — and what
// is made of the answer is compared with the file testdata/golden.txt.
func Golden(t *testing.T, routes func(*core.Server) []core.Route, cases []Case) {
	var got bytes.Buffer
	for i := range Dialects {
		d := &Dialects[i]
		o := core.Options{Models: []string{d.Write(t)}, Parallel: 4, Open: []trit.Option{trit.Threads(1)}}
		s, err := core.New(o)
		if err != nil {
			t.Fatal(err)
		}
		handler := httptest.NewServer(s.Handler(routes(s), func(string) *core.Family { return core.PlainFamily }))
		for _, c := range cases {
			if len(c.In) > 0 && !strings.Contains("|"+strings.Join(c.In, "|")+"|", "|"+d.Name+"|") {
				continue
			}
			fmt.Fprintf(&got, "== %s: %s\n", d.Name, c.Name)
			c.run(t, s, handler.URL, &got)
		}
		handler.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	compare(t, filepath.Join("testdata", "golden.txt"), got.String())
}

// run sends the request and writes down what it becomes.
func (c *Case) run(t *testing.T, s *core.Server, url string, out *bytes.Buffer) {
	s.Generate = func(ctx context.Context, j *core.Job, options []trit.GenerateOption) iter.Seq2[trit.Token, error] {
		describe(t, out, j, options)
		if c.Says == nil {
			return Tokens("")(ctx, j, options)
		}
		return c.says()(ctx, j, options)
	}
	status, body := post(t, url+c.Path, c.Body)
	if status != http.StatusOK || c.Says != nil || c.Answered {
		fmt.Fprintf(out, "answer %d:\n%s", status, lines(body))
	}
	if c.Says == nil {
		return
	}
	s.Generate = c.says()
	streamed := maps.Clone(c.Body)
	streamed["stream"] = true
	status, body = post(t, url+c.Path, streamed)
	fmt.Fprintf(out, "stream %d:\n%s", status, lines(body))
}

func (c *Case) says() core.Generator {
	if c.Cut {
		return EndedBy(trit.FinishLength, c.Says...)
	}
	return Tokens(c.Says...)
}

func post(t *testing.T, url string, body Object) (int, string) {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.Post(url, "application/json", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r.Body); err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, stable(b.String())
}

// What differs from run to run, and what stands for it.
var unstable = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`"(chatcmpl-|cmpl-|msg_|resp_|fc_|rs_|call_|toolu_)[a-z0-9]{24}"`), `"${1}ID"`},
	{regexp.MustCompile(`"fp_[0-9a-f]+"`), `"fp_X"`},
	{regexp.MustCompile(`"(created|created_at|completed_at)":(\d+|"[^"]*")`), `"$1":"T"`},
	{regexp.MustCompile(`"((total|load|prompt_eval|eval)_duration)":\d+`), `"$1":0`},
	{regexp.MustCompile(`"request_id":"[^"]*"`), `"request_id":"ID"`},
}

// stable replaces what differs from run to run.
func stable(text string) string {
	for _, u := range unstable {
		text = u.pattern.ReplaceAllString(text, u.text)
	}
	return strings.ReplaceAll(text, time.Now().Format("02 Jan 2006"), "TODAY")
}

// lines indents a text, so that white space is seen.
func lines(text string) string {
	var b strings.Builder
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), "\n") {
		b.WriteString("  |" + line + "\n")
	}
	return b.String()
}

// describe writes down what reaches the model.
func describe(t *testing.T, out *bytes.Buffer, j *core.Job, options []trit.GenerateOption) {
	m := j.Model.Model
	o, err := inside.Options(m, options)
	if err != nil {
		t.Error(err)
		return
	}
	tok := m.Tokenizer()
	var text strings.Builder
	for _, id := range j.Prompt {
		if tok.Token(id).Type == tokenizer.Control {
			text.WriteString("«" + tok.Token(id).Text + "»")
		} else {
			text.Write(tok.TokenBytes(id))
		}
	}
	fmt.Fprintf(out, "prompt of %d tokens:\n%s", len(j.Prompt), lines(stable(text.String())))
	var parts []string
	part := func(format string, args ...any) { parts = append(parts, fmt.Sprintf(format, args...)) }
	part("choices %d", j.Choices)
	if o.MaxTokens > 0 {
		part("at most %d", o.MaxTokens)
	}
	if o.MinTokens > 0 {
		part("at least %d", o.MinTokens)
	}
	if len(o.Stop) > 0 {
		part("stop %q", o.Stop)
	}
	if len(o.StopTokens) > 0 {
		part("stop tokens %d", o.StopTokens)
	}
	if o.IgnoreEnd {
		part("ignores the end")
	}
	if o.Special {
		part("shows control tokens")
	}
	fmt.Fprintln(out, strings.Join(parts, ", "))
	if changed := changes(m.Sampling(), o.Sampling); changed != "" {
		fmt.Fprintln(out, "sampling"+changed)
	}
	if o.Constraint != nil {
		fmt.Fprintln(out, "the answer may be "+accepted(t, tok, o.Constraint))
	}
}

// changes lists the fields in which sampling options differ from a model's own.
func changes(own, got sample.Options) string {
	var b strings.Builder
	x, y := reflect.ValueOf(own), reflect.ValueOf(got)
	for i := range x.NumField() {
		if a := y.Field(i); !reflect.DeepEqual(x.Field(i).Interface(), a.Interface()) {
			if a.Kind() == reflect.Pointer {
				a = a.Elem()
			}
			fmt.Fprintf(&b, " %s=%v", x.Type().Field(i).Name, a)
		}
	}
	return b.String()
}

// probes are texts of which constraints allow some.
var probes = []struct{ name, text string }{
	{"text", "It is sunny."},
	{"object", `{"day": 1}`},
	{"report", `{"city":"Paris","degrees":20}`},
	{"yes", "yes"},
	{"hermes call", `<tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>`},
	{"wrong hermes call", `<tool_call>{"name": "get_weather", "arguments": {"city": 5}}</tool_call>`},
	{"other hermes call", `<tool_call>{"name": "get_time", "arguments": {}}</tool_call>`},
	{"two hermes calls", "<tool_call>{\"name\": \"get_time\", \"arguments\": {}}</tool_call>\n" +
		`<tool_call>{"name": "get_weather", "arguments": {"city": "Rome"}}</tool_call>`},
	{"one hermes call twice",
		"<tool_call>{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Rome\"}}</tool_call>\n" +
			`<tool_call>{"name": "get_weather", "arguments": {"city": "Rome"}}</tool_call>`},
	{"text and hermes call", `I look. <tool_call>{"name": "get_weather", "arguments": {"city": "Paris"}}</tool_call>`},
	{"llama call", `{"name": "get_weather", "parameters": {"city": "Paris"}}`},
	{"other llama call", `{"name": "get_time", "parameters": {}}`},
	{"two llama calls",
		`{"name": "get_time", "parameters": {}}; {"name": "get_weather", "parameters": {"city": "Rome"}}`},
	{"mistral call", `[TOOL_CALLS] [{"name": "get_weather", "arguments": {"city": "Paris"}}]`},
	{"other mistral call", `[TOOL_CALLS] [{"name": "get_time", "arguments": {}}]`},
	{"two mistral calls",
		`[TOOL_CALLS] [{"name": "get_time", "arguments": {}}, {"name": "get_weather", "arguments": {"city": "Rome"}}]`},
	{"thought and text", "<think>\nHm.\n</think>\n\nIt is sunny."},
	{"end of thought and report", "Hm.\n</think>\n\n" + `{"city":"Paris","degrees":20}`},
}

// accepted lists the probes that a constraint accepts as a whole.
func accepted(t *testing.T, tok *tokenizer.Tokenizer, constraint generate.Constraint) string {
	var names, others []string
	mask := make([]uint64, (tok.Len()+63)/64)
	for _, p := range probes {
		c := constraint.Clone()
		ok := true
		for _, id := range tok.Encode(p.text, tokenizer.AddSpecial(false), tokenizer.ParseSpecial(true)) {
			if _, err := c.MaskWithin(mask, 1000); err != nil {
				t.Error(err)
			}
			allowed := mask[id/64]&(1<<(id%64)) != 0
			if err := c.Accept(id); (err == nil) != allowed {
				t.Errorf("%s: the mask says %v of the token %q, and Accept: %v", p.name, allowed, tok.Piece(id, true),
					err)
			}
			if ok = allowed; !ok {
				break
			}
		}
		if ok && c.CanEnd() {
			names = append(names, p.name)
		} else {
			others = append(others, p.name)
		}
	}
	switch {
	case names == nil:
		return "none of the samples"
	case len(names) > len(others):
		return "anything but " + strings.Join(others, ", ")
	}
	return strings.Join(names, ", ")
}

// compare compares a text with a golden file, which it rewrites with -update.
func compare(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	sections := func(text string) map[string]string {
		out := map[string]string{}
		for section := range strings.SplitSeq("\n"+text, "\n== ") {
			name, rest, _ := strings.Cut(section, "\n")
			out[name] = rest
		}
		return out
	}
	a, b := sections(strings.ReplaceAll(string(want), "\r\n", "\n")), sections(got)
	for name := range a {
		if _, ok := b[name]; !ok {
			t.Errorf("%s has a section %q that no case makes", path, name)
		}
	}
	for name, section := range b {
		if diff := cmp.Diff(strings.Split(a[name], "\n"), strings.Split(section, "\n")); diff != "" {
			t.Errorf("%s (- %s, + now; -update rewrites it):\n%s", name, path, diff)
		}
	}
}
