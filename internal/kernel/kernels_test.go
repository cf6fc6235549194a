package kernel

import (
	"reflect"
	"testing"
)

// The parts of a table, for forEachLevel.
func floatPart(k *kernels) any   { return k.float }
func attendPart(k *kernels) any  { return k.attend }
func headPart(k *kernels) any    { return k.head }
func ternaryPart(k *kernels) any { return k.ternary }
func groupedPart(k *kernels) any { return k.grouped }
func int8Part(k *kernels) any    { return k.int8 }
func coarsePart(k *kernels) any  { return k.coarse }
func measurePart(k *kernels) any { return k.measure }

// forEachLevel runs f with the kernels of every level of this CPU whose part of the
// table is not that of a lower level. It begins with the twins.
func forEachLevel(t *testing.T, part func(*kernels) any, f func(t *testing.T, k *kernels)) {
	t.Helper()
	seen := map[any]bool{}
	for _, l := range supported() {
		k := kernelsOf(l)
		if seen[part(k)] {
			continue
		}
		seen[part(k)] = true
		t.Run(l.String(), func(t *testing.T) {
			useKernels(t, k)
			f(t, k)
		})
	}
}

// useKernels switches to a table until the test ends.
func useKernels(t testing.TB, k *kernels) {
	old := active
	active = k
	t.Cleanup(func() { active = old })
}

// TestLevels checks that every level of this CPU has a complete table of its own.
func TestLevels(t *testing.T) {
	seen := map[*kernels]Level{}
	for _, l := range supported() {
		k := kernelsOf(l)
		if other, ok := seen[k]; ok {
			t.Errorf("%v has the table of %v", l, other)
		}
		seen[k] = l
		table := reflect.ValueOf(k).Elem()
		for i := range table.NumField() {
			part := table.Field(i).Elem() // of a missing part, the zero Value panics below
			for j := range part.NumField() {
				if f := part.Field(j); f.Kind() == reflect.Func && f.IsNil() {
					t.Errorf("%v: %s of %s is missing", l, part.Type().Field(j).Name, table.Type().Field(i).Name)
				}
			}
		}
	}
	if active != kernelsOf(Active()) {
		t.Errorf("the table in use is not that of %v", Active())
	}
}
