package order_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"trit/internal/order"
)

// TestStable compares with the library's, on elements of which many are equal.
func TestStable(t *testing.T) {
	type element struct{ key, place int }
	byKey := func(a, b element) int { return a.key - b.key }
	for n := range 200 {
		var s []element
		for i := range n {
			s = append(s, element{rand.IntN(1 + n/3), i})
		}
		want := slices.Clone(s)
		slices.SortStableFunc(want, byKey)
		if order.Stable(s, byKey); !slices.Equal(s, want) {
			t.Fatalf("%v, want %v", s, want)
		}
	}
}
