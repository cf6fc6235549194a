package trit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"trit/grammar"
	"trit/internal/fault"
	"trit/internal/generate"
)

// Vocabulary returns the model's tokens as package grammar needs them. It is
// built by the first call, which takes some tenths of a second for a vocabulary of
// 128,256 tokens, and shared by all constraints.
func (m *Model) Vocabulary() (*grammar.Vocabulary, error) {
	m.constraints.build.Do(func() {
		m.constraints.vocabulary, m.constraints.err = grammar.NewVocabulary(m.tokenizer)
	})
	return m.constraints.vocabulary, m.constraints.err
}

// Constraint returns the constraint that a text keeps to a grammar from its
// beginning on, for generate.Options and generate.BeamOptions. What has been
// found out about a grammar is kept for the next call with the same one, for
// the last few of them.
func (m *Model) Constraint(g *grammar.Grammar) (generate.Constraint, error) {
	c, _, err := m.constraint(context.Background(), g, func(grammar.Compiler) (*grammar.Grammar, error) { return g, nil })
	return c, err
}

// Compile returns the constraint that a format asks for, for [Constrain], and its grammar, which
// says what of a JSON Schema a text is not held to and whether it satisfies all of it. Both are
// nil for a format that any text has. What was compiled last is remembered. Compiling ends with the context.
func (m *Model) Compile(ctx context.Context, f Format) (Constraint, *grammar.Grammar, error) {
	r, err := f.request()
	if err == nil && r != nil {
		c, g, err := m.constraint(ctx, r.key, r.compile)
		if err == nil {
			return c, g, nil
		}
		return nil, nil, &OptionError{Option: "format", Err: fmt.Errorf("%s: %w", r.what, err)}
	}
	if err != nil {
		err = &OptionError{Option: "format", Err: err}
	}
	return nil, nil, err
}

// constraintRequest is a constraint that an option asks for.
type constraintRequest struct {
	what    string
	key     any
	compile func(grammar.Compiler) (*grammar.Grammar, error)
}

// constraintKey tells sources of grammars apart.
type constraintKey struct{ kind, source string }

// listKey writes a list unambiguously.
func listKey(list []string) string { return fmt.Sprintf("%q", list) }

// constraintCache is what a model remembers for constraints.
type constraintCache struct {
	build      sync.Once
	vocabulary *grammar.Vocabulary
	err        error

	memory   *grammar.Memory // of the matchers
	mu       sync.Mutex
	matchers []*matcherEntry // the latest used last
}

// Grammars has the model's grammars share a memory, with those of other models or alone. Without it they have one of
// [grammar.DefaultMemory], or less than that where [MaxMemory] leaves less: a sixteenth of it while texts are being
// followed.
func Grammars(memory *grammar.Memory) Option {
	return func(o *openOptions) {
		if o.grammars = memory; memory == nil {
			o.fail("grammars", "it is nil; want a memory")
		}
	}
}

// grammarMemory returns the memory of grammars that the options ask for.
func (o *openOptions) grammarMemory() *grammar.Memory {
	switch {
	case o.grammars != nil:
		return o.grammars
	case o.memory > 0:
		return grammar.NewMemory(min(max(o.memory/16/grammar.MemoryPeak, 1<<20), grammar.DefaultMemory))
	}
	return grammar.NewMemory(grammar.DefaultMemory)
}

// maxMatchers bounds the grammars that are remembered, and rememberedShare their size, as a part of what their
// matchers may keep.
const (
	maxMatchers     = 8
	rememberedShare = 4
)

type matcherEntry struct {
	key     any
	size    int64         // of the grammar, in bytes
	done    chan struct{} // closed when what follows is known
	grammar *grammar.Grammar
	matcher *grammar.Matcher
	err     error
	// givenUp says that whoever compiled it has left before it was done, and that it is not remembered.
	givenUp bool
}

// entry finds or makes the entry of a key and makes it the latest used. made says that the caller must compile it, and
// call settle.
func (c *constraintCache) entry(key any) (e *matcherEntry, made bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.matchers, func(e *matcherEntry) bool { return e.key == key })
	if i >= 0 {
		e = c.matchers[i]
		c.matchers = slices.Delete(c.matchers, i, i+1)
	} else {
		e, made = &matcherEntry{key: key, done: make(chan struct{}), givenUp: true}, true
		if len(c.matchers) == maxMatchers {
			c.matchers = slices.Delete(c.matchers, 0, 1)
		}
	}
	c.matchers = append(c.matchers, e)
	return e, made
}

// settle tells those who wait for an entry, and forgets it if it was given up. What is remembered is bounded: those
// that were not used for longest go first.
func (c *constraintCache) settle(e *matcherEntry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.givenUp {
		c.matchers = slices.DeleteFunc(c.matchers, func(x *matcherEntry) bool { return x == e })
	}
	if e.grammar != nil {
		e.size = e.grammar.Size()
	}
	size := int64(0)
	for _, x := range c.matchers {
		size += x.size
	}
	for ; size > c.memory.Limit()/rememberedShare; c.matchers = slices.Delete(c.matchers, 0, 1) {
		size -= c.matchers[0].size
	}
	close(e.done)
}

// constraint returns the constraint that a key stands for, compiling it unless
// it is remembered. One who waits for what another one compiles goes on with it if that one leaves.
func (m *Model) constraint(ctx context.Context, key any, compile func(grammar.Compiler) (*grammar.Grammar, error)) (
	generate.Constraint, *grammar.Grammar, error) {
	for {
		e, made := m.constraints.entry(key)
		if made {
			m.compile(ctx, e, compile)
		}
		select {
		case <-e.done:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
		switch {
		case e.givenUp && !made:
			continue
		case e.err != nil:
			return nil, nil, e.err
		}
		return generate.Grammar(e.matcher.Start()), e.grammar, nil
	}
}

// compile fills an entry.
func (m *Model) compile(ctx context.Context, e *matcherEntry, compile func(grammar.Compiler) (*grammar.Grammar, error)) {
	defer m.constraints.settle(e) // also if compiling panics
	var v *grammar.Vocabulary
	if e.grammar, e.err = compile(grammar.Until(ctx)); e.err == nil {
		if v, e.err = m.Vocabulary(); e.err == nil {
			e.matcher, e.err = m.constraints.memory.NewMatcher(e.grammar, v)
		}
	}
	e.givenUp = e.err != nil && ctx.Err() != nil
}

// applyConstraint turns the constraint that the options ask for into one. The grammar is nil if it is not made of
// one.
func (m *Model) applyConstraint(ctx context.Context, o *generateOptions) (*grammar.Grammar, error) {
	if len(o.constraints) == 0 {
		return nil, nil
	}
	var names []string
	for _, c := range o.constraints {
		names = append(names, c.what)
	}
	if o.Options.Constraint != nil {
		names = append(names, "Constrain")
	}
	if len(names) > 1 {
		return nil, fault.Option("format", "a text can have one constraint, not %s", strings.Join(names, " and "))
	}
	c, g, err := m.constraint(ctx, o.constraints[0].key, o.constraints[0].compile)
	if err != nil {
		return nil, &OptionError{Option: "format", Err: fmt.Errorf("%s: %w", names[0], err)}
	}
	o.Options.Constraint, o.constraints = c, nil
	return g, nil
}
