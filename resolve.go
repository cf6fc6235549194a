package trit

import "trit/internal/generate"

// Resolve returns what options of a generation come to with this model: its own
// recommendations where they say nothing, and the constraint that they ask for,
// compiled. Errors are those that a generation with these options would begin
// with.
func (m *Model) Resolve(opts ...GenerateOption) (generate.Options, error) {
	o := m.generateOptions(opts)
	if o.err != nil {
		return generate.Options{}, o.err
	}
	if err := m.applyConstraint(o); err != nil {
		return generate.Options{}, err
	}
	return o.Options, nil
}
