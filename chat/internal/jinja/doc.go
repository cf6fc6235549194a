// Package jinja renders the Jinja dialect that chat templates are written in,
// the way Hugging Face's transformers renders it: jinja2's immutable sandbox
// with trim_blocks and lstrip_blocks on, auto-escaping off, the loop-control
// extension, raise_exception, strftime_now, a tojson that keeps raw characters
// and insertion order, and {% generation %} blocks.
//
// A template is data from a stranger. So every render runs under [Limits]:
// evaluation steps, wall time, bytes of output, bytes allocated, and depth of
// macro calls. A template that exceeds one ends in an error that matches
// [ErrLimit]; it cannot hang, exhaust memory or overflow the stack.
//
// It is an interpreter of its own because those two properties, jinja2's exact
// semantics and hard bounds, have to reach into every operator: a template that
// calls a macro without end must not overflow the goroutine's stack, and None is
// not the same as undefined.
//
// Use [Parse] once and [Template.Render] from any number of goroutines:
//
//	t, err := jinja.Parse("Hello {{ name | title }}!")
//	s, err := t.Render(map[string]jinja.Value{"name": "ada"}, jinja.Config{})
//
// Values are plain Go values: nil (None), bool, int64, float64, string,
// [*List], [*Dict]; [FromGo] and [DecodeJSON] make them from anything that
// JSON can express.
//
// What is left out, with an error that says so: tags that need other files
// (extends, include, import, from), autoescape and trans, and the filters that
// only make sense for HTML pages (xmlattr, urlize, striptags, forceescape,
// pprint, random, filesizeformat). Lazy sequences are lists, so a
// chain such as `x | map('trim') | length`, an error in jinja2, works.
package jinja
