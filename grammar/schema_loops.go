package grammar

import "slices"

// findLoops refuses schemas that refer to themselves without consuming anything, unless all that leads back to them
// must hold with them: that adds nothing, so it is cut, if the options are not strict. The standard leaves open what
// such a schema means.
func (c *schemaCompiler) findLoops(d *schemaDocument) {
	mark := map[*schema]int{} // 1: on the way, 2: done
	var path []*schema
	var visit func(s *schema)
	visit = func(s *schema) {
		mark[s] = 1
		path = append(path, s)
		for _, x := range s.inPlace() {
			switch mark[x] {
			case 0:
				visit(x)
			case 1:
				loop := path[slices.Index(path, x):]
				if c.options.Strict || !conjunctive(loop) {
					failSchema(s.pointer, "", ErrSyntax, "it leads back to %q without a property or item in between", "#"+x.pointer)
				}
				for _, rest := range c.cut(loop) {
					visit(rest)
				}
			}
		}
		path = path[:len(path)-1]
		mark[s] = 2
	}
	for _, s := range d.all {
		if mark[s] == 0 {
			visit(s)
		}
	}
}

// conjunctive reports whether each schema of a loop demands the next, and the last the first, of the same value.
func conjunctive(loop []*schema) bool {
	for i, s := range loop {
		next := loop[(i+1)%len(loop)]
		if s.target != next && !slices.Contains(s.allOf, next) || s.unevaluatedProps != nil || s.unevaluatedItems != nil {
			return false
		}
	}
	return true
}

// cut ends a conjunctive loop with its last schema, which then demands what the others demand apart from the loop. It
// returns these demands.
func (c *schemaCompiler) cut(loop []*schema) []*schema {
	last := loop[len(loop)-1]
	last.release(loop[0])
	var rest []*schema
	for i, s := range loop[:len(loop)-1] {
		x := c.newSchema(s.pointer)
		id := x.id
		*x = *s
		x.id = id
		x.release(loop[i+1])
		rest = append(rest, x)
	}
	last.allOf = append(slices.Clip(last.allOf), rest...)
	return rest
}

// release ends the demand of s that x holds.
func (s *schema) release(x *schema) {
	if s.target == x {
		s.target = nil
	}
	s.allOf = slices.DeleteFunc(slices.Clone(s.allOf), func(y *schema) bool { return y == x })
}
