// Package order sorts slices where it does not matter how fast.
package order

import "sort"

// Stable sorts a slice by a comparison as slices.SortStableFunc does. That makes a copy of the
// algorithm for every type of element, of nine kilobytes; this has one for all of them.
func Stable[T any](s []T, compare func(a, b T) int) {
	sort.Stable(elements{
		n:    len(s),
		less: func(i, j int) bool { return compare(s[i], s[j]) < 0 },
		swap: func(i, j int) { s[i], s[j] = s[j], s[i] },
	})
}

// elements is a slice of any type as package sort wants it.
type elements struct {
	n    int
	less func(i, j int) bool
	swap func(i, j int)
}

func (e elements) Len() int           { return e.n }
func (e elements) Less(i, j int) bool { return e.less(i, j) }
func (e elements) Swap(i, j int)      { e.swap(i, j) }
