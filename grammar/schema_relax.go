package grammar

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// A Relaxation is a demand of a JSON Schema that a grammar made of it does not hold to,
// because no grammar of bearable size can: texts of the grammar may break it.
// [Grammar.Check] says whether one does.
type Relaxation struct {
	Tool    string // the tool whose parameters the schema describes, "" if it is none
	Pointer string // JSON pointer of the schema object, "" for the root
	Keyword string // "" if the schema as a whole is meant
	Reason  string
}

// String names the place, and says why.
func (r Relaxation) String() string {
	at := r.Place()
	if r.Tool != "" {
		at = fmt.Sprintf("tool %q, %s", r.Tool, at)
	}
	return at + ": " + r.Reason
}

// Place returns the place of the keyword as a fragment of a URI.
func (r Relaxation) Place() string { return "#" + pointerOf(r.Pointer, r.Keyword) }

// pointerOf returns the JSON pointer of a keyword, or of the schema if it is "".
func pointerOf(pointer, keyword string) string {
	if keyword == "" {
		return pointer
	}
	return pointer + "/" + escapePointer(keyword)
}

// maxRelaxed bounds what is remembered of relaxations.
const maxRelaxed = 256

// relax notes that a demand is not held to, or fails if the options are strict. What
// the caller goes on with must allow all that the schema allows.
func (c *schemaCompiler) relax(pointer, keyword string, err error, format string, args ...any) {
	e := &SchemaError{pointer, keyword, fmt.Sprintf(format, args...), err}
	if c.options.Strict {
		panic(e)
	}
	c.note(e)
}

// note remembers a relaxation.
func (c *schemaCompiler) note(e *SchemaError) {
	r := Relaxation{c.tool, e.Pointer, e.Keyword, e.reason()}
	same := func(x Relaxation) bool { return x.Tool == r.Tool && x.Pointer == r.Pointer && x.Keyword == r.Keyword }
	if len(c.relaxed) < maxRelaxed && !slices.ContainsFunc(c.relaxed, same) {
		c.relaxed = append(c.relaxed, r)
	}
}

// reason is what e says without its place and without the sentinel error.
func (e *SchemaError) reason() string {
	for _, sentinel := range []error{ErrUnsupported, ErrTooLarge, ErrSyntax} {
		if e.Err == sentinel {
			return e.Msg
		}
		if errors.Is(e.Err, sentinel) {
			return e.Msg + ": " + strings.TrimPrefix(e.Err.Error(), sentinel.Error()+": ")
		}
	}
	return e.Msg
}

// attempt runs f. What f cannot express is relaxed, and then it returns false.
func (c *schemaCompiler) attempt(f func()) (ok bool) {
	if !c.options.Strict {
		defer func() {
			if r := recover(); r != nil {
				e, is := r.(*SchemaError)
				if !is || errors.Is(e, ErrSyntax) {
					panic(r)
				}
				c.note(e)
				ok = false
			}
		}()
	}
	f()
	return true
}
