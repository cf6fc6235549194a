package server

import (
	"container/list"
	"encoding/json"
	"fmt"
	"sync"

	"trit/generate"
	"trit/grammar"
)

// format is what an answer must look like. At most one field is set; none
// means text.
type format struct {
	object  bool            // any JSON object
	schema  json.RawMessage // JSON that validates against this schema
	gbnf    string          // a grammar in llama.cpp's notation
	pattern string          // a regular expression
	choice  []string        // one of these texts
}

// key tells formats apart.
func (f *format) key() string {
	switch {
	case f.object:
		return "object"
	case f.schema != nil:
		return "schema " + string(f.schema)
	case f.gbnf != "":
		return "gbnf " + f.gbnf
	case f.pattern != "":
		return "pattern " + f.pattern
	case f.choice != nil:
		return fmt.Sprintf("choice %q", f.choice)
	}
	return ""
}

func (f *format) grammar() (*grammar.Grammar, error) {
	switch {
	case f.object:
		return grammar.JSONObject(grammar.WhitespaceLimited), nil
	case f.schema != nil:
		return grammar.FromJSONSchema(f.schema, grammar.SchemaOptions{})
	case f.gbnf != "":
		return grammar.ParseGBNF(f.gbnf)
	case f.pattern != "":
		return grammar.CompileRegexp(f.pattern)
	}
	return grammar.Choice(f.choice...)
}

// constraint returns what makes an answer of the model look like that, or nil
// for text.
func (l *lease) constraint(f format) (generate.Constraint, error) {
	key := f.key()
	if key == "" {
		return nil, nil
	}
	return l.constrain(key, f.grammar)
}

// constrain returns the constraint of a grammar, which build makes if it is
// not known by this key yet.
func (l *lease) constrain(key string, build func() (*grammar.Grammar, error)) (generate.Constraint, error) {
	m, err := l.matchers.get(key, func() (*grammar.Matcher, error) {
		g, err := build()
		if err != nil {
			return nil, err
		}
		v, err := l.Model.Vocabulary()
		if err != nil {
			return nil, err
		}
		return grammar.NewMatcher(g, v)
	})
	if err != nil {
		return nil, err
	}
	return generate.Grammar(m.Start()), nil
}

// matcherCache keeps the grammars that were used last: clients send the same
// schema again and again, and a matcher learns masks with use.
type matcherCache struct {
	mu      sync.Mutex
	order   list.List // of *matcherEntry, the last used first
	entries map[string]*list.Element
}

type matcherEntry struct {
	key     string
	once    sync.Once
	matcher *grammar.Matcher
	err     error
}

// maxMatchers bounds the memory that grammars of the past hold.
const maxMatchers = 32

func (c *matcherCache) get(key string, build func() (*grammar.Matcher, error)) (*grammar.Matcher, error) {
	c.mu.Lock()
	el := c.entries[key]
	if el == nil {
		if c.entries == nil {
			c.entries = map[string]*list.Element{}
		}
		el = c.order.PushFront(&matcherEntry{key: key})
		c.entries[key] = el
		if c.order.Len() > maxMatchers {
			last := c.order.Back()
			delete(c.entries, c.order.Remove(last).(*matcherEntry).key)
		}
	} else {
		c.order.MoveToFront(el)
	}
	c.mu.Unlock()
	e := el.Value.(*matcherEntry)
	e.once.Do(func() { e.matcher, e.err = build() })
	return e.matcher, e.err
}
