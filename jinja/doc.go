// Package jinja renders Jinja templates as Python's jinja2 does, within hard bounds, and needs only
// the standard library.
//
//	t, err := jinja.Parse("Hello {{ name | title }}!")
//	s, err := t.Render(map[string]any{"name": "ada"}, jinja.Config{})
//
// Its dialect is the one that chat templates of language models are written in, as Hugging Face's
// transformers sets jinja2 up for them: the immutable sandbox, trim_blocks and lstrip_blocks on,
// auto-escaping off, and undefined variables that print as nothing. It suits any text that is made
// of data by a template which the program's author did not write.
//
// # What it has
//
// Tags: if, for (with else, if, recursive and the loop variable), break and continue, set (also of a
// block, and of the attributes of a namespace), macro, call, filter, with, block, print, raw,
// generation, and comments, with all forms of white-space control.
//
// Expressions: all of jinja2's operators, calls, slices, tests and conditional expressions, the
// methods of strings, lists and dicts that change nothing, and Python's rules for printing, comparing and
// formatting values: integers and floats differ, so do None and undefined, and dicts keep the order
// of their keys.
//
// All of jinja2's filters and tests but for those below; the functions range, dict, namespace,
// cycler and joiner; and what transformers adds: raise_exception, strftime_now, and a tojson which
// keeps characters and the order of keys, and takes Python's indent, separators, sort_keys and ensure_ascii.
//
// # What it lacks
//
// Each of these ends in an error that says so: tags that need other files (extends, include, import,
// from); autoescape, trans, do and debug; the filters filesizeformat, forceescape, pprint, random,
// striptags, urlize, wordwrap and xmlattr; the function lipsum; the methods encode, format_map,
// isprintable, istitle, maketrans and translate of strings, and fromkeys of dicts. There are no
// filters, tests or functions of one's own; delimiters and settings are fixed.
//
// Integers beyond 64 bits can be printed and compared, not calculated with. Lazy sequences are lists,
// so that `x | map('trim') | length`, an error in jinja2, works. What the filter safe returns is
// plain text: nothing is ever escaped that does not go through the filter escape.
//
// # Values
//
// Variables are nil (None), bool, int64, float64, string, [BigInt], [*List] or [*Dict], or any Go
// value that [FromGo] makes one of these of. [DecodeJSON] keeps the order of keys, which a Go map has
// not. No template changes a value, so that renders may share them.
//
// # Limits
//
// A template is data from a stranger. So every render runs under [Limits]: evaluation steps, wall
// time, bytes of output, bytes allocated, and depth of macro calls; nesting in the source and in
// values is bounded too. A template that exceeds one ends in an error that matches [ErrLimit]; it
// cannot hang, exhaust memory or overflow the stack. This is why the package is an interpreter of its
// own: bounds like these have to reach into every operator.
//
// # Errors
//
// Errors are of type [*Error], name the line and what failed there, and match one of the sentinel
// errors, such as [ErrRaised] where the template itself refused its variables. Only the end of a context
// comes back as the context's own error.
package jinja
