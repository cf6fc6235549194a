// Package templates compares packages jinja and chat with Python's jinja2.
package templates

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"trit/chat"
	"trit/jinja"
)

// made is the renders.json of make.py.
type made struct {
	Templates     map[string]string
	Conversations []json.RawMessage
	Renders       []struct {
		Template, Conversation string
		result
		Others []struct {
			Ways []string
			result
		}
	}
}

// result is what a template makes of a conversation: a text, or an error.
type result struct {
	Want  *string
	Error string
}

// is reports whether a render had this result.
func (r *result) is(got string, err error) bool {
	if r.Want == nil {
		return err != nil
	}
	return err == nil && got == *r.Want
}

type conversation struct {
	Name     string                     `json:"name"`
	BOS      string                     `json:"bos_token"`
	EOS      string                     `json:"eos_token"`
	Generate bool                       `json:"add_generation_prompt"`
	Messages json.RawMessage            `json:"messages"`
	Tools    json.RawMessage            `json:"tools"`
	Extra    map[string]json.RawMessage `json:"extra"`
}

// clock is the time of make.py.
func clock() time.Time { return time.Date(2024, 7, 26, 14, 5, 9, 0, time.UTC) }

func read(t *testing.T) (*made, map[string]*conversation) {
	dir := os.Getenv("TRIT_TEMPLATES")
	if dir == "" {
		t.Skip("TRIT_TEMPLATES is not set: it names a folder that make.py has made")
	}
	data, err := os.ReadFile(filepath.Join(dir, "renders.json"))
	if err != nil {
		t.Fatal(err)
	}
	m := &made{}
	if err := json.Unmarshal(data, m); err != nil {
		t.Fatal(err)
	}
	conversations := map[string]*conversation{}
	for _, raw := range m.Conversations {
		c := &conversation{}
		if err := json.Unmarshal(raw, c); err != nil {
			t.Fatal(err)
		}
		conversations[c.Name] = c
	}
	if len(m.Renders) == 0 || len(m.Renders) != len(m.Templates)*len(conversations) {
		t.Fatalf("%d renders of %d templates and %d conversations", len(m.Renders), len(m.Templates), len(conversations))
	}
	return m, conversations
}

// compare renders all templates and conversations and compares with Python's jinja2; what is rendered in another
// way must be listed in differences.txt, under that way and only there.
func compare(t *testing.T, list string, render func(source string) (func(*conversation) (string, error), error)) {
	m, conversations := read(t)
	templates := map[string]func(*conversation) (string, error){}
	for name, source := range m.Templates {
		var err error
		if templates[name], err = render(source); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	equal, other := 0, 0
	found := map[string]map[string]bool{} // ways, templates
renders:
	for _, r := range m.Renders {
		got, err := templates[r.Template](conversations[r.Conversation])
		if r.is(got, err) {
			equal++
			continue
		}
		for _, o := range r.Others {
			if !o.is(got, err) {
				continue
			}
			for _, way := range o.Ways {
				if found[way] == nil {
					found[way] = map[string]bool{}
				}
				found[way][r.Template] = true
			}
			other++
			continue renders
		}
		if r.Want == nil {
			t.Errorf("%s, %s: %q, %v, want the error %s", r.Template, r.Conversation, got, err, r.Error)
		} else {
			t.Errorf("%s, %s: %v (-want +got):\n%s", r.Template, r.Conversation, err, cmp.Diff(*r.Want, got))
		}
	}
	t.Logf("%d of %d renders are those of jinja2, %d in another way on purpose", equal, len(m.Renders), other)
	listed := differences(t, list)
	for _, way := range slices.Sorted(maps.Keys(listed)) {
		for _, name := range listed[way] {
			if m.Templates[name] != "" && !found[way][name] {
				t.Errorf("differences.txt: %s is listed under %q of %s and does not differ so", name, way, list)
			}
			delete(found[way], name)
		}
	}
	for _, way := range slices.Sorted(maps.Keys(found)) {
		for _, name := range slices.Sorted(maps.Keys(found[way])) {
			t.Errorf("differences.txt: %s is not listed under %q of %s", name, way, list)
		}
	}
}

// differences reads the templates of differences.txt by the way in which they differ, below the headline of a list.
func differences(t *testing.T, list string) map[string][]string {
	data, err := os.ReadFile("differences.txt")
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(data), "\n== "+list+"\n")
	if !found {
		t.Fatalf("differences.txt has no list of %s", list)
	}
	text, _, _ = strings.Cut(text, "\n== ")
	ways := map[string][]string{}
	way := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "-- "):
			way = line[3:]
			ways[way] = nil
		case strings.HasPrefix(line, "\t"):
			ways[way] = append(ways[way], line[1:])
		}
	}
	return ways
}

// TestJinja gives package jinja the variables that Python's jinja2 had.
func TestJinja(t *testing.T) {
	compare(t, "jinja", func(source string) (func(*conversation) (string, error), error) {
		tpl, err := jinja.Parse(source)
		return func(c *conversation) (string, error) {
			vars := map[string]any{"messages": c.Messages, "tools": nil, "documents": nil, "add_generation_prompt": c.Generate,
				"bos_token": c.BOS, "eos_token": c.EOS}
			if c.Tools != nil {
				vars["tools"] = c.Tools
			}
			for name, v := range c.Extra {
				vars[name] = v
			}
			out, err := tpl.Render(vars, jinja.Config{Now: clock})
			var e *jinja.Error
			if err != nil && (!errors.As(err, &e) || e.Line == 0) {
				t.Errorf("%s: the error names no line: %v", c.Name, err)
			}
			return out, err
		}, err
	})
}

// TestChat gives package chat the conversations as clients send them.
func TestChat(t *testing.T) {
	compare(t, "chat", func(source string) (func(*conversation) (string, error), error) {
		tpl, err := chat.Parse(source, chat.WithClock(clock))
		return func(c *conversation) (string, error) {
			in := chat.Input{AddGenerationPrompt: c.Generate, BOS: c.BOS, EOS: c.EOS, Extra: map[string]any{}}
			if err := json.Unmarshal(c.Messages, &in.Messages); err != nil {
				t.Fatal(err)
			}
			if c.Tools != nil {
				if err := json.Unmarshal(c.Tools, &in.Tools); err != nil {
					t.Fatal(err)
				}
			}
			for name, v := range c.Extra {
				in.Extra[name] = v
			}
			return tpl.Render(in)
		}, err
	})
}
