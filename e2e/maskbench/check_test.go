// Package maskbench runs package grammar over the schemas of maskbench. README.md says what comes out.
package maskbench

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"trit/grammar"
	"trit/internal/fixtures"
	"trit/tokenizer"
)

var (
	outcomesFile = flag.String("outcomes", "", "write what becomes of each schema to this file, as JSON lines")
	only         = flag.String("only", "", "run only schemas whose names contain this")
	every        = flag.Int("every", 1, "run only every so many schemas")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// floor is how many of a hundred schemas have to pass closed or open.
const floor = 97

// annotations is the format of the standard that grammars do not hold to, as the standard allows.
var annotations = regexp.MustCompile(`"format":\s*"regex"`)

// A sample is a file of maskbench: a schema with instances.
type sample struct {
	name   string
	Schema json.RawMessage
	Tests  []struct {
		Valid bool
		Data  json.RawMessage
	}
}

// outcome is what becomes of a sample.
type outcome struct {
	Name      string
	Open      bool
	Error     string          `json:",omitempty"` // the schema has no grammar
	Empty     bool            `json:",omitempty"` // because nothing satisfies it
	Relaxed   []string        `json:",omitempty"`
	First     time.Duration   // until the first mask
	Masks     []time.Duration `json:"-"`
	Longest   time.Duration
	Valid     int    // instances that satisfy the schema
	Accepted  int    // of them
	Invalid   int    // instances that do not
	Relaxedly int    // of them, accepted where the schema is relaxed, and found by Check
	Undecided int    // of them, accepted where the schema is relaxed, and Check cannot tell
	Wrong     int    // of them, accepted otherwise
	Annotated bool   `json:",omitempty"` // the schema has that format: Wrong is no wonder
	Misjudged int    // instances of which Check says the opposite
	Unequal   int    // tokens of which mask and Accept say the opposite
	Digest    uint32 // of all masks, to compare versions, if outcomes are written
	digest    []byte
}

// passes reports whether all instances are judged rightly, by the grammar or, where it is relaxed, by Check.
func (o *outcome) passes() bool {
	return (o.Error == "" || o.Empty) && o.Accepted == o.Valid && o.Wrong == 0 && o.Undecided == 0 && o.Unequal == 0
}

// TestMaskbench compiles all schemas of maskbench, closed and open, and reads their instances token by token.
func TestMaskbench(t *testing.T) {
	root := os.Getenv("TRIT_SUITES")
	if root == "" {
		t.Skip("TRIT_SUITES is not set: this test needs maskbench")
	}
	files, err := filepath.Glob(filepath.Join(root, "maskbench", "data", "*"+*only+"*.json"))
	if err != nil || len(files) == 0 {
		t.Skipf("%s has no maskbench", root)
	}
	if *every > 1 {
		n := 0
		for i := 0; i < len(files); i += *every {
			files[n] = files[i]
			n++
		}
		files = files[:n]
	}
	tok := llama3(t)
	v, err := grammar.NewVocabulary(tok)
	if err != nil {
		t.Fatal(err)
	}
	all := make([][2]*outcome, len(files))
	var next atomic.Int64
	var wait sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wait.Go(func() {
			runtime.LockOSThread() // times are those of the thread
			for i := next.Add(1) - 1; i < int64(len(files)); i = next.Add(1) - 1 {
				s, err := readSample(files[i])
				if err != nil {
					t.Error(err)
					continue
				}
				for j, open := range []bool{false, true} {
					all[i][j] = s.run(t, tok, v, open)
				}
			}
		})
	}
	wait.Wait()
	if t.Failed() {
		return
	}
	passing := report(t, all)
	if *only == "" && 100*passing < floor*len(files) {
		t.Errorf("%d of %d schemas pass closed or open, want %d %%", passing, len(files), floor)
	}
}

func llama3(t *testing.T) *tokenizer.Tokenizer {
	data, err := os.ReadFile(fixtures.Path(t, "tokenizers", "llama-bpe.tokenizer.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(fixtures.Path(t, "tokenizers", "llama-bpe.tokenizer_config.json"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	if data, err = io.ReadAll(r); err != nil {
		t.Fatal(err)
	}
	tok, err := tokenizer.FromJSON(data, config)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func readSample(file string) (*sample, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	s := &sample{name: strings.TrimSuffix(filepath.Base(file), ".json")}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

// run compiles the schema and reads the instances.
func (s *sample) run(t *testing.T, tok *tokenizer.Tokenizer, v *grammar.Vocabulary, open bool) *outcome {
	o := &outcome{Name: s.name, Open: open, Annotated: annotations.Match(s.Schema)}
	mask := make([]uint64, v.MaskWords())
	start := now()
	g, err := grammar.FromJSONSchema(s.Schema, grammar.SchemaOptions{OpenObjects: open})
	var m *grammar.Matcher
	if err == nil {
		m, err = grammar.NewMatcher(g, v)
	}
	if err == nil {
		err = m.Start().Mask(mask)
	}
	o.First = now() - start
	for _, test := range s.Tests {
		if test.Valid {
			o.Valid++
		} else {
			o.Invalid++
		}
	}
	if err != nil {
		o.Error, o.Empty = err.Error(), errors.Is(err, grammar.ErrEmpty)
		return o
	}
	for _, r := range g.Relaxed() {
		o.Relaxed = append(o.Relaxed, r.String())
	}
	for _, test := range s.Tests {
		text, err := spaced(test.Data)
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		accepted := o.accepts(t, tok, m, mask, text)
		checked := g.Check("", test.Data)
		if test.Valid && errors.Is(checked, grammar.ErrInvalid) || !test.Valid && checked == nil {
			o.Misjudged++
		}
		switch {
		case test.Valid && accepted:
			o.Accepted++
		case test.Valid || !accepted:
		case len(o.Relaxed) > 0 && errors.Is(checked, grammar.ErrInvalid):
			o.Relaxedly++
		case len(o.Relaxed) > 0 && errors.Is(checked, grammar.ErrUndecided):
			o.Undecided++
		default:
			o.Wrong++
		}
	}
	return o
}

// accepts reports whether a text can be written token by token, and ends there.
func (o *outcome) accepts(t *testing.T, tok *tokenizer.Tokenizer, m *grammar.Matcher, mask []uint64, text string) bool {
	s := m.Start()
	for _, id := range tok.Encode(text, tokenizer.AddSpecial(false)) {
		start := now()
		maskErr := s.Mask(mask)
		err := s.Accept(id)
		took := now() - start
		o.Masks, o.Longest = append(o.Masks, took), max(o.Longest, took)
		if maskErr != nil {
			t.Errorf("%s: %v", o.Name, maskErr)
			return false
		}
		if *outcomesFile != "" {
			o.digest = o.digest[:0]
			for _, word := range mask {
				o.digest = binary.LittleEndian.AppendUint64(o.digest, word)
			}
			o.Digest = crc32.Update(o.Digest, castagnoli, o.digest)
		}
		if in := mask[id/64]>>(id%64)&1 != 0; in != (err == nil) {
			o.Unequal++
		}
		if err != nil {
			return false
		}
	}
	return s.CanEnd()
}

// spaced writes a value as maskbench does, which is Python's json.dumps with ensure_ascii=False.
func spaced(data []byte) (string, error) {
	var b strings.Builder
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	type level struct {
		end  string
		n    int
		name bool // in an object: a name follows
	}
	levels := []level{{}}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return b.String(), nil
		}
		if err != nil {
			return "", err
		}
		at := &levels[len(levels)-1]
		if delim, ok := token.(json.Delim); ok && (delim == ']' || delim == '}') {
			b.WriteString(at.end)
			levels = levels[:len(levels)-1]
			continue
		}
		if at.end == "}" && !at.name {
			b.WriteString(": ")
		} else if at.n > 0 {
			b.WriteString(", ")
		}
		at.n, at.name = at.n+1, !at.name
		switch x := token.(type) {
		case json.Delim:
			b.WriteString(x.String())
			levels = append(levels, level{map[json.Delim]string{'[': "]", '{': "}"}[x], 0, true})
		case string:
			quote(&b, x)
		case json.Number:
			b.WriteString(x.String())
		case nil:
			b.WriteString("null")
		default:
			fmt.Fprint(&b, x)
		}
	}
}

func quote(b *strings.Builder, s string) {
	short := map[rune]string{'"': `\"`, '\\': `\\`, '\n': `\n`, '\r': `\r`, '\t': `\t`, '\b': `\b`, '\f': `\f`}
	b.WriteByte('"')
	for _, r := range s {
		switch escape := short[r]; {
		case escape != "":
			b.WriteString(escape)
		case r < ' ':
			fmt.Fprintf(b, `\u%04x`, r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
}
