package core

import (
	"trit"
	"trit/internal/inside"
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

// Formatted returns the options that keep a text of the model to a format. The
// format is compiled here, so that its errors come before the answer begins.
func (l *Lease) Formatted(f Format) ([]trit.GenerateOption, error) {
	if f.Empty() {
		return nil, nil
	}
	o, err := inside.Options(l.Model, []trit.GenerateOption{trit.Formatted(f.Format)})
	if err != nil {
		return nil, blameOption(err, f.Field)
	}
	return []trit.GenerateOption{trit.Constrain(o.Constraint)}, nil
}
