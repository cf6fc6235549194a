package core

import (
	"context"
	"fmt"

	"trit"
	"trit/grammar"
)

// Format is what an answer must look like, and the field of the request that says
// so, for errors.
type Format struct {
	trit.Format
	Field string
}

// Empty reports whether any text will do.
func (f *Format) Empty() bool {
	return !f.Object && f.Schema == nil && f.Regexp == "" && f.GBNF == "" && f.Choice == nil
}

// Formatted returns the options that keep a text of the model to a format, and what of it is left out. The
// format is compiled here, so that its errors come before the answer begins.
func (l *Lease) Formatted(ctx context.Context, f Format) (options []trit.GenerateOption, ignored []string, err error) {
	if f.Empty() {
		return nil, nil, nil
	}
	c, g, err := l.Model.Compile(ctx, f.Format)
	if err != nil {
		return nil, nil, blameOption(err, f.Field)
	}
	return []trit.GenerateOption{trit.Constrain(c)}, relaxed(g.Relaxed(), f.Field), nil
}

// maxRelaxed bounds what an answer's header names.
const maxRelaxed = 8

// relaxed names the demands of schemas that an answer is not held to. field has the schema of a format.
func relaxed(list []grammar.Relaxation, field string) []string {
	var out []string
	for i, r := range list {
		if i == maxRelaxed {
			return append(out, fmt.Sprintf("%d more", len(list)-i))
		}
		at := field
		if r.Tool != "" {
			at = fmt.Sprintf("tools (%.40q)", r.Tool)
		}
		out = append(out, fmt.Sprintf("%s %.80q", at, r.Place()))
	}
	return out
}
