package grammar

import (
	"fmt"
	"slices"
)

// textsDFA returns the automaton of some texts, with as few states as possible.
func textsDFA(m *meter, texts []string) (*dfa, error) {
	texts = slices.Clone(texts)
	slices.Sort(texts)
	// The states of a tree, in which texts share their beginnings; those that are left are below.
	type state struct {
		final bool
		chars []rune
		to    []int32
	}
	tree := []state{{}}
	path := []int32{0}
	var last, all []rune
	for _, text := range texts {
		runes := []rune(text)
		m.Spend(1 + len(runes))
		common := 0
		for common < min(len(last), len(runes)) && last[common] == runes[common] {
			common++
		}
		path = path[:common+1]
		for _, r := range runes[common:] {
			next := int32(len(tree))
			from := &tree[path[len(path)-1]]
			from.chars, from.to = append(from.chars, r), append(from.to, next)
			tree = append(tree, state{})
			path = append(path, next)
		}
		tree[path[len(path)-1]].final = true
		all = append(all, runes...)
		last = runes
	}
	// Equal states become one, from the ends on: a state comes after those that lead to it.
	same := make([]int32, len(tree))
	index := map[string]int32{}
	var key []byte
	for i := len(tree) - 1; i >= 0; i-- {
		s := &tree[i]
		key = append(key[:0], 0)
		if s.final {
			key[0] = 1
		}
		for j, r := range s.chars {
			s.to[j] = same[s.to[j]]
			key = key64(key, int64(r), int64(s.to[j]))
		}
		first, ok := index[string(key)]
		if !ok {
			first = int32(i)
			index[string(key)] = first
		}
		same[i] = first
	}
	if len(index) > maxDFAStates {
		return nil, fmt.Errorf("%w: the automaton of the texts has more than %d states", ErrTooLarge, maxDFAStates)
	}
	slices.Sort(all)
	var used []charSet
	for _, r := range slices.Compact(all) {
		used = append(used, charSet{{r, r}})
	}
	d := &dfa{meter: m, cuts: cutsOf(used)}
	m.Spend(len(index) * len(d.cuts))
	number := make([]int32, len(tree)) // the start is 0
	for i := range tree {
		if same[i] == int32(i) {
			number[i] = int32(len(d.final))
			d.final = append(d.final, tree[i].final)
		}
	}
	d.next = make([]int32, len(d.final)*len(d.cuts))
	for i := range d.next {
		d.next[i] = -1
	}
	for i, s := range tree {
		if same[i] != int32(i) {
			continue
		}
		for j, r := range s.chars {
			class, _ := slices.BinarySearch(d.cuts, r)
			d.next[int(number[i])*len(d.cuts)+class] = number[s.to[j]]
		}
	}
	return d, nil
}
