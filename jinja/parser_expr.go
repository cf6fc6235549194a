package jinja

import (
	"strconv"
	"strings"
)

// Expressions, lowest precedence first.

// tuple parses one expression or several separated by commas. ternary allows a
// conditional expression as element.
func (p *parser) tuple(ternary bool) expr {
	one := func() expr {
		if ternary {
			return p.expr()
		}
		return p.or()
	}
	line := p.cur().line
	e := one()
	if !p.isOp(",") {
		return e
	}
	t := &listExpr{elems: []expr{e}, tuple: true, line: line}
	for p.skipOp(",") {
		if k := p.cur(); k.kind == tokVarEnd || k.kind == tokBlockEnd || p.isOp(")") || p.isName("recursive") {
			break
		}
		t.elems = append(t.elems, one())
	}
	return t
}

// expr parses a conditional expression: a if test else b.
func (p *parser) expr() expr {
	depth := p.depth
	p.enter()
	defer func() { p.depth = depth }()
	e := p.or()
	for p.isName("if") {
		line := p.take().line
		p.enter()
		c := &condExpr{then: e, test: p.or(), line: line}
		if p.skipName("else") {
			c.alt = p.expr()
		}
		e = c
	}
	return e
}

func (p *parser) or() expr {
	e := p.and()
	for p.skipName("or") {
		p.enter()
		e = &logicExpr{e, p.and(), true}
	}
	return e
}

func (p *parser) and() expr {
	e := p.not()
	for p.skipName("and") {
		p.enter()
		e = &logicExpr{e, p.not(), false}
	}
	return e
}

func (p *parser) not() expr {
	if p.skipName("not") {
		p.enter()
		return &notExpr{p.not()}
	}
	return p.compare()
}

func (p *parser) compare() expr {
	line := p.cur().line
	first := p.add()
	var links []compareLink
	for {
		op := ""
		switch t := p.cur(); {
		case t.kind == tokOp:
			switch t.text {
			case "==", "!=", "<", "<=", ">", ">=":
				op = t.text
				p.take()
			}
		case p.isName("in"):
			op = "in"
			p.take()
		case p.isName("not") && p.peek().kind == tokName && p.peek().text == "in":
			op = "not in"
			p.take()
			p.take()
		}
		if op == "" {
			break
		}
		p.enter()
		links = append(links, compareLink{op, p.add()})
	}
	if links == nil {
		return first
	}
	return &compareExpr{first, links, line}
}

func (p *parser) add() expr {
	e := p.concat()
	for p.isOp("+") || p.isOp("-") {
		t := p.take()
		p.enter()
		e = &binaryExpr{t.text[0], e, p.concat(), t.line}
	}
	return e
}

func (p *parser) concat() expr {
	line := p.cur().line
	e := p.mul()
	if !p.isOp("~") {
		return e
	}
	c := &concatExpr{elems: []expr{e}, line: line}
	for p.skipOp("~") {
		c.elems = append(c.elems, p.mul())
	}
	return c
}

func (p *parser) mul() expr {
	e := p.pow()
	for p.isOp("*") || p.isOp("/") || p.isOp("//") || p.isOp("%") {
		t := p.take()
		p.enter()
		op := t.text[0]
		if t.text == "//" {
			op = opFloorDiv
		}
		e = &binaryExpr{op, e, p.pow(), t.line}
	}
	return e
}

func (p *parser) pow() expr {
	e := p.unary(true)
	for p.isOp("**") {
		t := p.take()
		p.enter()
		e = &binaryExpr{opPow, e, p.unary(true), t.line}
	}
	return e
}

func (p *parser) unary(filters bool) expr {
	var e expr
	if p.isOp("-") || p.isOp("+") {
		t := p.take()
		p.enter()
		e = &signExpr{t.text == "-", p.unary(false), t.line}
	} else {
		e = p.primary()
	}
	e = p.postfix(e)
	if !filters {
		return e
	}
	for {
		switch {
		case p.isOp("|"):
			e = p.filter(e, false)
		case p.isName("is"):
			e = p.test(e)
		case p.isOp("("):
			e = p.call(e)
		default:
			return e
		}
		p.enter()
	}
}

func (p *parser) primary() expr {
	t := p.take()
	switch t.kind {
	case tokName:
		switch t.text {
		case "true", "True":
			return &constExpr{true}
		case "false", "False":
			return &constExpr{false}
		case "none", "None":
			return &constExpr{nil}
		}
		if len(p.macros) > 0 {
			m := p.macros[len(p.macros)-1]
			m.varargs = m.varargs || t.text == "varargs"
			m.kwargs = m.kwargs || t.text == "kwargs"
			m.caller = m.caller || t.text == "caller"
		}
		return &nameExpr{t.text, t.line}
	case tokString:
		s := t.text
		if p.cur().kind == tokString { // adjacent strings join
			parts := []string{s}
			for p.cur().kind == tokString {
				parts = append(parts, p.take().text)
			}
			s = strings.Join(parts, "")
		}
		return &constExpr{s}
	case tokInt:
		if len(t.text) > 1 && t.text[0] == '0' && t.text[1] >= '0' && t.text[1] <= '9' {
			p.fail(t.line, ErrSyntax, "integer %s has a leading zero", clip(t.text))
		}
		v, err := strconv.ParseInt(t.text, 0, 64)
		if err != nil {
			if len(t.text) > 100 || t.text[0] == '0' {
				p.fail(t.line, ErrUnsupported, "integer %s does not fit 64 bits", clip(t.text))
			}
			return &constExpr{BigInt(t.text)}
		}
		return &constExpr{v}
	case tokFloat:
		v, err := strconv.ParseFloat(t.text, 64)
		if err != nil {
			p.fail(t.line, ErrUnsupported, "number %s is out of range", clip(t.text))
		}
		return &constExpr{v}
	case tokOp:
		switch t.text {
		case "(":
			if p.skipOp(")") {
				return &listExpr{tuple: true, line: t.line}
			}
			e := p.tuple(true)
			p.expectOp(")")
			return e
		case "[":
			l := &listExpr{line: t.line}
			for !p.skipOp("]") {
				if len(l.elems) > 0 {
					p.expectOp(",")
					if p.skipOp("]") {
						break
					}
				}
				l.elems = append(l.elems, p.expr())
			}
			return l
		case "{":
			d := &dictExpr{line: t.line}
			for !p.skipOp("}") {
				if len(d.keys) > 0 {
					p.expectOp(",")
					if p.skipOp("}") {
						break
					}
				}
				d.keys = append(d.keys, p.expr())
				p.expectOp(":")
				d.vals = append(d.vals, p.expr())
			}
			return d
		}
	}
	p.fail(t.line, ErrSyntax, "unexpected %s", t.describe())
	return nil
}

func (p *parser) postfix(e expr) expr {
	for {
		switch {
		case p.isOp("."):
			p.take()
			t := p.take()
			switch t.kind {
			case tokName:
				e = &attrExpr{e, t.text, t.line}
			case tokInt:
				v, err := strconv.ParseInt(t.text, 10, 64)
				if err != nil {
					p.fail(t.line, ErrSyntax, "invalid index %s", clip(t.text))
				}
				e = &itemExpr{e, &constExpr{v}, t.line}
			default:
				p.fail(t.line, ErrSyntax, "expected a name after '.', found %s", t.describe())
			}
		case p.isOp("["):
			e = p.subscript(e)
		case p.isOp("("):
			e = p.call(e)
		default:
			return e
		}
		p.enter()
	}
}

func (p *parser) subscript(e expr) expr {
	line := p.take().line
	if p.isOp("]") {
		p.fail(line, ErrSyntax, "empty subscript")
	}
	var part [3]expr
	n := 0
	for i := range part {
		if !p.isOp(":") && !p.isOp("]") {
			part[i] = p.expr()
		}
		n++
		if !p.skipOp(":") {
			break
		}
		if i == 0 {
			n++ // a trailing colon is a slice too
		}
	}
	if p.isOp(",") {
		p.fail(line, ErrUnsupported, "subscripts with several indices")
	}
	p.expectOp("]")
	if n == 1 {
		return &itemExpr{e, part[0], line}
	}
	return &sliceExpr{e, part[0], part[1], part[2], line}
}

func (p *parser) call(fn expr) expr {
	line := p.cur().line
	return &callExpr{fn, p.arguments(), line}
}

func (p *parser) arguments() argList {
	var a argList
	line := p.cur().line
	p.expectOp("(")
	for i := 0; !p.skipOp(")"); i++ {
		if i > 0 {
			p.expectOp(",")
			if p.skipOp(")") {
				break
			}
		}
		switch t := p.cur(); {
		case p.skipOp("*"):
			if a.star != nil || a.starStar != nil {
				p.fail(line, ErrSyntax, "more than one '*' argument in a call")
			}
			a.star = p.expr()
		case p.skipOp("**"):
			if a.starStar != nil {
				p.fail(line, ErrSyntax, "more than one '**' argument in a call")
			}
			a.starStar = p.expr()
		case t.kind == tokName && p.peek().kind == tokOp && p.peek().text == "=":
			p.pos += 2
			a.kw = append(a.kw, kwExpr{t.text, p.expr()})
		default:
			if len(a.kw) > 0 || a.star != nil || a.starStar != nil {
				p.fail(line, ErrSyntax, "positional argument after a keyword argument")
			}
			a.pos = append(a.pos, p.expr())
		}
	}
	return a
}

// filter parses a chain of filters on e. inline means that the first one has no '|' before it.
func (p *parser) filter(e expr, inline bool) expr {
	for inline || p.isOp("|") {
		if !inline {
			p.take()
		}
		inline = false
		p.enter()
		t := p.expectKind(tokName, "a filter name")
		f := &filterExpr{in: e, name: t.text, fn: filters[t.text], line: t.line}
		if p.isOp("(") {
			f.args = p.arguments()
		}
		e = f
	}
	return e
}

func (p *parser) test(e expr) expr {
	p.take()
	negate := p.skipName("not")
	t := p.expectKind(tokName, "a test name")
	n := &testExpr{in: e, name: t.text, fn: tests[t.text], negate: negate, line: t.line}
	switch k := p.cur(); {
	case p.isOp("("):
		n.args = p.arguments()
	case k.kind == tokString || k.kind == tokInt || k.kind == tokFloat || p.isOp("[") || p.isOp("{"),
		k.kind == tokName && k.text != "else" && k.text != "or" && k.text != "and" && k.text != "if" && k.text != "in" && k.text != "not" && k.text != "recursive":
		if p.isName("is") {
			p.fail(k.line, ErrSyntax, "tests cannot be chained with 'is'")
		}
		n.args.pos = []expr{p.postfix(p.primary())}
	}
	return n
}
