package jinja

import (
	"fmt"
	"strings"
)

const (
	// maxSource bounds a template's size in bytes; the longest real ones have about 20 kB.
	maxSource = 1 << 20
	// maxNesting bounds how deep expressions and blocks nest and how long operator chains grow,
	// so that neither parsing nor evaluation can exhaust the stack.
	maxNesting = 400
)

// parser builds the syntax tree by recursive descent, with jinja2's grammar. Inside, a syntax
// error travels as a panic with an *Error, which parse turns back into an error.
type parser struct {
	toks   []token
	pos    int
	depth  int
	macros []*macroBody // enclosing macro and call bodies, innermost last
}

// parse returns the statements of a template.
func parse(src string) (body []stmt, err error) {
	if len(src) > maxSource {
		return nil, &Error{Kind: ErrLimit, Msg: fmt.Sprintf("template has %d bytes, at most %d are read", len(src), maxSource)}
	}
	toks, err := lex(src)
	if err != nil {
		return nil, err
	}
	defer func() {
		if r := recover(); r != nil {
			e, ok := r.(*Error)
			if !ok {
				panic(r)
			}
			body, err = nil, e
		}
	}()
	p := &parser{toks: toks}
	body, _ = p.statements("")
	return body, nil
}

func (p *parser) cur() *token { return &p.toks[p.pos] }

func (p *parser) peek() *token {
	if p.pos+1 < len(p.toks) {
		return &p.toks[p.pos+1]
	}
	return &p.toks[p.pos]
}

// take consumes and returns the current token; the last one, tokEOF, stays.
func (p *parser) take() *token {
	t := &p.toks[p.pos]
	if t.kind != tokEOF {
		p.pos++
	}
	return t
}

func (p *parser) fail(line int32, kind error, format string, args ...any) {
	panic(&Error{Line: int(line), Kind: kind, Msg: fmt.Sprintf(format, args...)})
}

func (p *parser) isOp(op string) bool { t := p.cur(); return t.kind == tokOp && t.text == op }

func (p *parser) isName(name string) bool { t := p.cur(); return t.kind == tokName && t.text == name }

func (p *parser) skipOp(op string) bool {
	if p.isOp(op) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) skipName(name string) bool {
	if p.isName(name) {
		p.pos++
		return true
	}
	return false
}

func (p *parser) expectOp(op string) {
	if !p.skipOp(op) {
		p.fail(p.cur().line, ErrSyntax, "expected '%s', found %s", op, p.cur().describe())
	}
}

func (p *parser) expectKind(kind tokenKind, what string) *token {
	if p.cur().kind != kind {
		p.fail(p.cur().line, ErrSyntax, "expected %s, found %s", what, p.cur().describe())
	}
	return p.take()
}

// enter counts one level of nesting or one link of an operator chain.
func (p *parser) enter() {
	p.depth++
	if p.depth > maxNesting {
		p.fail(p.cur().line, ErrLimit, "expressions and blocks nest or chain more than %d deep", maxNesting)
	}
}

// Statements.

// statements parses until a block tag named in ends (space separated) and returns that name,
// having consumed "{%" and the name. Empty ends means the end of the template.
func (p *parser) statements(ends string) (body []stmt, end string) {
	depth := p.depth
	p.enter()
	defer func() { p.depth = depth }()
	opened := p.cur().line
	for {
		t := p.take()
		switch t.kind {
		case tokData:
			body = append(body, &textStmt{t.text})
		case tokVarBegin:
			line := p.cur().line
			e := p.tuple(true)
			p.expectKind(tokVarEnd, "'}}'")
			body = append(body, &printStmt{e, line})
		case tokBlockBegin:
			name := p.expectKind(tokName, "a tag name")
			for _, e := range strings.Fields(ends) {
				if name.text == e {
					return body, e
				}
			}
			if s := p.statement(name); s != nil {
				body = append(body, s)
			}
		case tokEOF:
			if ends != "" {
				p.fail(opened, ErrSyntax, "block is never closed: expected '%s'", strings.ReplaceAll(ends, " ", "' or '"))
			}
			return body, ""
		default:
			p.fail(t.line, ErrSyntax, "unexpected %s", t.describe())
		}
	}
}

func (p *parser) blockEnd() {
	p.skipOp(":") // jinja2 tolerates Python's colon
	p.expectKind(tokBlockEnd, "'%}'")
}

// block parses "%} body {% end %}".
func (p *parser) block(end string) []stmt {
	p.blockEnd()
	body, _ := p.statements(end)
	p.expectKind(tokBlockEnd, "'%}'")
	return body
}

// statement parses one tag after its name, up to and including its (last) "%}".
func (p *parser) statement(name *token) stmt {
	switch name.text {
	case "if":
		return p.ifTag()
	case "for":
		return p.forTag(name.line)
	case "set":
		return p.setTag(name.line)
	case "macro":
		return p.macroTag(name.line)
	case "call":
		return p.callTag(name.line)
	case "filter":
		f := p.filter(nil, true)
		return &filterStmt{f, p.block("endfilter"), name.line}
	case "with":
		s := &withStmt{line: name.line}
		for p.cur().kind != tokBlockEnd {
			if len(s.targets) > 0 {
				p.expectOp(",")
			}
			s.targets = append(s.targets, p.target())
			p.expectOp("=")
			s.values = append(s.values, p.expr())
		}
		s.body = p.block("endwith")
		return s
	case "generation": // marks the assistant's text for training; renders as its body
		return &withStmt{body: p.block("endgeneration"), line: name.line}
	case "block":
		p.expectKind(tokName, "a block name")
		for p.skipName("scoped") || p.skipName("required") {
		}
		p.blockEnd()
		body, _ := p.statements("endblock")
		if p.cur().kind == tokName {
			p.take()
		}
		p.expectKind(tokBlockEnd, "'%}'")
		return &withStmt{body: body, line: name.line}
	case "print":
		e := p.tuple(true)
		p.expectKind(tokBlockEnd, "'%}'")
		return &printStmt{e, name.line}
	case "break", "continue":
		p.expectKind(tokBlockEnd, "'%}'")
		if name.text == "break" {
			return &jumpStmt{jumpBreak, name.line}
		}
		return &jumpStmt{jumpContinue, name.line}
	case "extends", "include", "import", "from":
		p.fail(name.line, ErrUnsupported, "tag '%s' needs other files, which a template does not have", name.text)
	case "autoescape", "trans", "do", "debug":
		p.fail(name.line, ErrUnsupported, "tag '%s' is not part of this dialect", name.text)
	}
	if strings.HasPrefix(name.text, "end") || name.text == "else" || name.text == "elif" {
		p.fail(name.line, ErrSyntax, "tag '%s' closes nothing that is open here", name.text)
	}
	p.fail(name.line, ErrUnsupported, "unknown tag '%s'", name.text)
	return nil
}

func (p *parser) ifTag() stmt {
	s := &ifStmt{}
	for {
		test := p.tuple(false)
		p.blockEnd()
		body, end := p.statements("elif else endif")
		s.arms = append(s.arms, ifArm{test, body})
		switch end {
		case "else":
			s.alt = p.block("endif")
			return s
		case "endif":
			p.expectKind(tokBlockEnd, "'%}'")
			return s
		}
	}
}

func (p *parser) forTag(line int32) stmt {
	s := &forStmt{line: line, target: p.target()}
	if !p.skipName("in") {
		p.fail(p.cur().line, ErrSyntax, "expected 'in', found %s", p.cur().describe())
	}
	s.iter = p.tuple(false)
	if p.skipName("if") {
		s.test = p.expr()
	}
	s.recursive = p.skipName("recursive")
	p.blockEnd()
	body, end := p.statements("endfor else")
	s.body = body
	if end == "else" {
		s.alt = p.block("endfor")
	} else {
		p.expectKind(tokBlockEnd, "'%}'")
	}
	return s
}

func (p *parser) setTag(line int32) stmt {
	t := p.target()
	if p.skipOp("=") {
		e := p.tuple(true)
		p.expectKind(tokBlockEnd, "'%}'")
		return &setStmt{t, e, line}
	}
	var f expr
	if p.isOp("|") {
		f = p.filter(nil, false)
	}
	return &captureStmt{t, f, p.block("endset"), line}
}

func (p *parser) signature(m *macroBody) {
	p.expectOp("(")
	for !p.skipOp(")") {
		if len(m.params) > 0 {
			p.expectOp(",")
		}
		prm := param{name: p.expectKind(tokName, "a parameter name").text}
		if p.skipOp("=") {
			prm.def = p.expr()
		} else if len(m.params) > 0 && m.params[len(m.params)-1].def != nil {
			p.fail(p.cur().line, ErrSyntax, "a parameter without default follows one with a default")
		}
		m.params = append(m.params, prm)
		p.enter() // bounds the number of parameters
	}
}

func (p *parser) macroTag(line int32) stmt {
	depth := p.depth
	defer func() { p.depth = depth }()
	m := &macroBody{name: p.expectKind(tokName, "a macro name").text, line: line}
	p.macros = append(p.macros, m)
	p.signature(m)
	m.body = p.block("endmacro")
	p.macros = p.macros[:len(p.macros)-1]
	return &macroStmt{m}
}

func (p *parser) callTag(line int32) stmt {
	depth := p.depth
	defer func() { p.depth = depth }()
	m := &macroBody{name: "caller", line: line}
	if p.isOp("(") {
		p.signature(m)
	}
	call, ok := p.expr().(*callExpr)
	if !ok {
		p.fail(line, ErrSyntax, "tag 'call' needs a call of a macro")
	}
	p.macros = append(p.macros, m)
	m.body = p.block("endcall")
	p.macros = p.macros[:len(p.macros)-1]
	return &callStmt{call, m, line}
}

// target parses what a value is assigned to: a name, a tuple of names, or namespace.attribute.
func (p *parser) target() *target {
	t := p.oneTarget()
	if !p.isOp(",") {
		return t
	}
	tuple := &target{line: t.line, elems: []*target{t}}
	for p.skipOp(",") {
		if k := p.cur(); k.kind != tokName && !p.isOp("(") || k.kind == tokName && k.text == "in" {
			break
		}
		tuple.elems = append(tuple.elems, p.oneTarget())
	}
	return tuple
}

func (p *parser) oneTarget() *target {
	depth := p.depth
	p.enter()
	defer func() { p.depth = depth }()
	if p.skipOp("(") {
		t := p.target()
		p.expectOp(")")
		return t
	}
	n := p.expectKind(tokName, "a variable name")
	switch n.text {
	case "true", "false", "none", "True", "False", "None":
		p.fail(n.line, ErrSyntax, "cannot assign to '%s'", n.text)
	}
	t := &target{line: n.line, name: n.text}
	if p.skipOp(".") {
		t.attr = p.expectKind(tokName, "an attribute name").text
	}
	return t
}
