package jinja

import (
	"context"
	"fmt"
	"time"
)

// Template is a parsed template. It is immutable: any number of goroutines may render it at once.
type Template struct {
	body   []stmt
	source int // bytes of source
}

// Parse parses a template's source. Errors match [ErrSyntax], [ErrUnsupported] or [ErrLimit] and
// carry the line.
func Parse(source string) (*Template, error) {
	body, err := parse(source)
	if err != nil {
		return nil, err
	}
	return &Template{body: body, source: len(source)}, nil
}

// Limits bounds one render. A zero field means its default.
type Limits struct {
	Steps  int64         // evaluated nodes and visited items; default 20 million
	Output int           // bytes of output, and of any one string; default 1 MiB + 16 × (input + source)
	Alloc  int64         // bytes allocated for strings and lists in all; default 64 × Output, at least 256 MiB
	Calls  int           // depth of macro calls and recursive loops; default 100
	Time   time.Duration // wall time; default 10 s
}

// Config is what a render may depend on besides its variables.
type Config struct {
	Limits Limits
	Now    func() time.Time // for strftime_now; default time.Now
}

const (
	defaultSteps = 20_000_000
	defaultCalls = 100
	defaultTime  = 10 * time.Second
	timeEvery    = 4096    // steps between looks at the clock
	mostInput    = 1 << 26 // bytes of the variables beyond which default limits grow no more
)

// Render renders the template with the given variables. Errors match one of the sentinel errors of this
// package; those that the template is at fault for carry the line.
func (t *Template) Render(vars map[string]any, cfg Config) (string, error) {
	return t.RenderContext(context.Background(), vars, cfg)
}

// RenderContext is [Template.Render] until the context ends; the error is then the context's.
func (t *Template) RenderContext(ctx context.Context, vars map[string]any, cfg Config) (out string, err error) {
	root := &scope{}
	input := 0
	for name, v := range vars {
		v, err := FromGo(v)
		if err == nil {
			input, err = measure(v, input, 0)
		}
		if err != nil {
			return "", within(err, "variable", name)
		}
		root.set(name, v)
	}
	lim := cfg.Limits
	if lim.Steps <= 0 {
		lim.Steps = defaultSteps
	}
	if lim.Calls <= 0 {
		lim.Calls = defaultCalls
	}
	if lim.Time <= 0 {
		lim.Time = defaultTime
	}
	if lim.Output <= 0 {
		lim.Output = 1<<20 + 16*(input+t.source)
	}
	if lim.Alloc <= 0 {
		lim.Alloc = max(256<<20, 64*int64(lim.Output))
	}
	now := cfg.Now
	if now == nil {
		now = time.Now
	}
	s := &state{limits: lim, left: lim.Steps, check: lim.Steps, started: time.Now(), now: now, until: ctx}
	s.root, s.scope = root, root
	s.out = make([]byte, 0, min(input+t.source/4+64, 1<<20))
	// The interpreter has no known way to panic; should one be found by a
	// stranger's template, it must cost that render only.
	defer func() {
		if r := recover(); r != nil {
			out, err = "", &Error{Kind: ErrType, Msg: fmt.Sprintf("internal error: %v", r)}
		}
	}()
	if _, err := s.run(t.body); err != nil {
		return "", err
	}
	return string(s.out), nil
}

// state is one render in progress.
type state struct {
	out     []byte
	scope   *scope
	root    *scope
	limits  Limits
	left    int64 // steps left
	check   int64 // look at the clock and the context when left falls below
	spent   int64 // bytes allocated
	calls   int
	started time.Time
	now     func() time.Time
	until   context.Context
}

// step accounts for n units of work.
func (s *state) step(n int64) error {
	s.left -= n
	if s.left >= s.check {
		return nil
	}
	if s.left < 0 {
		return fail(ErrLimit, "rendering takes more than %d steps", s.limits.Steps)
	}
	s.check = s.left - timeEvery
	if time.Since(s.started) > s.limits.Time {
		return fail(ErrLimit, "rendering takes longer than %v", s.limits.Time)
	}
	return s.until.Err()
}

// alloc accounts for n newly allocated bytes that belong to one value.
func (s *state) alloc(n int) error {
	if n > s.limits.Output || n < 0 {
		return s.tooLarge()
	}
	s.spent += int64(n)
	if s.spent > s.limits.Alloc {
		return fail(ErrLimit, "rendering allocates more than %d bytes", s.limits.Alloc)
	}
	return s.step(int64(n) / 64)
}

// allocItems accounts for a new list or dict of n items.
func (s *state) allocItems(n int) error {
	if n > s.limits.Output {
		return s.tooLarge()
	}
	s.spent += int64(n) * 16
	if s.spent > s.limits.Alloc {
		return fail(ErrLimit, "rendering allocates more than %d bytes", s.limits.Alloc)
	}
	return s.step(int64(n))
}

func (s *state) tooLarge() error {
	return fail(ErrLimit, "a value or the output grows beyond %d bytes", s.limits.Output)
}

// write appends to the output.
func (s *state) write(text string) error {
	if len(s.out)+len(text) > s.limits.Output {
		return s.tooLarge()
	}
	s.out = append(s.out, text...)
	return nil
}

// enterCall counts one level of macro calls; leaveCall ends it.
func (s *state) enterCall() error {
	if s.calls >= s.limits.Calls {
		return fail(ErrLimit, "macros or loops call each other more than %d deep", s.limits.Calls)
	}
	s.calls++
	return nil
}

func (s *state) leaveCall() { s.calls-- }

// capture runs body with its own output, in a scope of its own unless sc is given, and returns the output.
func (s *state) capture(body []stmt, sc *scope) (string, error) {
	out, outer := s.out, s.scope
	s.out = nil
	s.scope = sc
	_, err := s.run(body)
	text := string(s.out)
	s.out, s.scope = out, outer
	if err != nil {
		return "", err
	}
	return text, s.alloc(len(text))
}

// scope is one level of variables. Few templates have more than a dozen at a level, so
// a linear search is fastest; larger scopes get an index.
type scope struct {
	parent *scope
	names  []string
	vals   []Value
	index  map[string]int
}

const scopeIndexAt = 24

func (c *scope) find(name string) int {
	if c.index != nil {
		if i, ok := c.index[name]; ok {
			return i
		}
		return -1
	}
	for i, n := range c.names {
		if n == name {
			return i
		}
	}
	return -1
}

func (c *scope) set(name string, v Value) {
	if i := c.find(name); i >= 0 {
		c.vals[i] = v
		return
	}
	c.names = append(c.names, name)
	c.vals = append(c.vals, v)
	if c.index != nil {
		c.index[name] = len(c.names) - 1
	} else if len(c.names) >= scopeIndexAt {
		c.index = make(map[string]int, 2*scopeIndexAt)
		for i, n := range c.names {
			c.index[n] = i
		}
	}
}

// reset forgets all variables, for the next pass of a loop.
func (c *scope) reset() {
	c.names, c.vals, c.index = c.names[:0], c.vals[:0], nil
}

func (c *scope) lookup(name string) (Value, bool) {
	for ; c != nil; c = c.parent {
		if i := c.find(name); i >= 0 {
			return c.vals[i], true
		}
	}
	return nil, false
}
