package hub

import (
	"strings"

	"trit/internal/order"
)

// tag is what Ollama's names end in where they name no version; here they have none.
const tag = ":latest"

// meant says which models a name that nobody has may mean: the nearest of those that are
// known and of the catalogue.
func meant(name string, known []string) string {
	near := similar(strings.TrimSuffix(name, tag), known)
	if len(near) == 0 {
		return "; hub.Catalogue lists models that can be downloaded"
	}
	return "; is " + strings.Join(near, " or ") + " meant?"
}

// similar returns up to three names that are like one: that begin with it or have it in
// them, in either direction, or differ in a few letters.
func similar(name string, known []string) []string {
	const most = 3
	names := append([]string(nil), known...)
	for _, e := range Catalogue() {
		names = append(names, e.Name)
	}
	name = strings.ToLower(name)
	type candidate struct {
		name     string
		distance int
	}
	var near []candidate
	seen := map[string]bool{}
	for _, n := range names {
		lower := strings.ToLower(n)
		if seen[lower] {
			continue
		}
		seen[lower] = true
		d := distance(name, lower)
		switch {
		case len(name) >= 3 && strings.HasPrefix(lower, name), len(lower) >= 3 && strings.HasPrefix(name, lower):
			d = 0
		case len(name) >= 3 && strings.Contains(lower, name):
			d = 1
		case d > 1+len(name)/4:
			continue
		}
		near = append(near, candidate{n, d})
	}
	order.Stable(near, func(a, b candidate) int { return a.distance - b.distance })
	var result []string
	for _, c := range near[:min(len(near), most)] {
		result = append(result, c.name)
	}
	return result
}

// distance returns how many letters must be changed, left out or put in to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
