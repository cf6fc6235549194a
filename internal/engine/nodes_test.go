package engine_test

import (
	"fmt"
	"testing"

	"trit/internal/engine"
	"trit/internal/model"
	"trit/internal/parallel"
	"trit/internal/topology"
)

// TestSameBitsOnNodes: a model whose weights lie on several nodes of memory computes what it
// computes anywhere, for one row and for many.
func TestSameBitsOnNodes(t *testing.T) {
	tokens := longTokens(40)
	run := func(ends []int) []float32 {
		place := &topology.Place{Ends: ends}
		for node := range ends {
			place.Nodes = append(place.Nodes, node)
		}
		team, err := parallel.NewTeamAt(ends[len(ends)-1], place)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(team.Close) // after the engine's
		m := load(t, committed(), model.LoadOptions{Team: team})
		parts := 0
		m.Projections(func(_ string, p *model.Projection) { parts = max(parts, len(p.Matrix.Parts)) })
		if (parts > 1) != (len(ends) > 1) {
			t.Errorf("workers of nodes end at %v, matrices are in %d parts", ends, parts)
		}
		return logits(t, newEngine(t, m, engine.Options{Team: team}), tokens, nil, 12, 1, 1, 25, 1)
	}
	want := run([]int{1})
	for _, ends := range [][]int{{1, 2}, {3, 5}, {1, 2, 3, 4}} {
		equalBits(t, fmt.Sprint("nodes that end at ", ends), run(ends), want)
	}
}
