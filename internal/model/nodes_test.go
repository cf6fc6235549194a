package model

import (
	"fmt"
	"testing"
	"unsafe"

	"trit/internal/parallel"
	"trit/internal/ternary"
	"trit/internal/topology"
)

// cores returns a machine with nodes of so many cores.
func cores(nodes ...int) (m topology.Machine) {
	for node, n := range nodes {
		for range n {
			id := len(m.CPUs)
			m.CPUs = append(m.CPUs, topology.CPU{ID: id, Core: id, Node: node, Capacity: 1})
		}
	}
	return m
}

// TestWeightsLieWhereTheyAreRead: of the weights that a section reads, each node's workers
// read those in the memory of the node, unless they help others, and as much as those do.
func TestWeightsLieWhereTheyAreRead(t *testing.T) {
	shapes := map[string][][2]int{ // of sections, rows and columns of their matrices
		"bitnet-2b": {{2560, 2560}, {640, 2560}, {640, 2560}, {-1, 0}, {2560, 2560}, {-1, 0}, {6912, 2560}, {6912, 2560}, {-1, 0}, {2560, 6912}},
		"8b":        {{4096, 4096}, {1024, 4096}, {1024, 4096}, {-1, 0}, {4096, 4096}, {-1, 0}, {12288, 4096}, {12288, 4096}},
	}
	for machine, m := range map[string]topology.Machine{"two sockets": cores(4, 4), "four nodes": cores(2, 2, 2, 2), "cpuset": cores(3, 1), "one": cores(4)} {
		for name, list := range shapes {
			for _, layout := range []ternary.Layout{ternary.T5, ternary.G2} {
				t.Run(fmt.Sprintf("%s/%s/%v", machine, name, layout), func(t *testing.T) {
					workers := len(m.CPUs)
					place := m.Place(workers)
					if place != nil {
						place.CPUs = nil // this machine has others
					}
					team, err := parallel.NewTeamAt(workers, place)
					if err != nil {
						t.Fatal(err)
					}
					defer team.Close()
					home := &recorder{Team: team}
					p := &Pass{team: team, rows: 1}
					var outs []Projected
					total, local, reads := 0, 0, make([]int, team.Nodes())
					section := func() {
						p.divide(Buffer{}, outs)
						slice := 0
						for node, end := range p.project.ends {
							for ; slice < end; slice++ {
								part := &p.project.parts[p.project.part(slice)]
								from, to := part.panels(slice)
								for panel := from; panel < to; panel++ {
									data := part.w.Matrix.Panel(panel)
									total += len(data)
									reads[node] += len(data)
									if home.node(data) == node {
										local += len(data)
									}
								}
							}
						}
						outs = nil
					}
					bytes := 0
					for _, shape := range append(list, [2]int{-1, 0}) {
						if shape[0] < 0 {
							section()
							continue
						}
						w, err := ternary.NewAt(home, layout, shape[0], shape[1])
						if err != nil {
							t.Fatal(err)
						}
						bytes += w.Panels() * w.PanelBytes()
						outs = append(outs, Projected{W: &Projection{Matrix: w}})
					}
					if total != bytes {
						t.Errorf("%d bytes are read, of %d", total, bytes)
					}
					if team.Nodes() > 1 && local < total*95/100 {
						t.Errorf("%.1f %% are read where they lie", 100*float64(local)/float64(total))
					}
					for node, n := range reads {
						from, to := team.Share(workers, node)
						if fair := float64(total) * float64(to-from) / float64(workers); float64(n) < 0.97*fair || float64(n) > 1.03*fair {
							t.Errorf("node %d reads %d bytes, fair were %.0f", node, n, fair)
						}
					}
				})
			}
		}
	}
}

// recorder notes which memory it takes of which node.
type recorder struct {
	*parallel.Team
	taken []taken
}

type taken struct {
	node       int
	first, end uintptr
}

func (r *recorder) Bytes(node, n int) []byte {
	data := r.Team.Bytes(node, n)
	first := uintptr(unsafe.Pointer(unsafe.SliceData(data)))
	// A page belongs to one node.
	for _, other := range r.taken {
		if other.node != node && first>>21 <= (other.end-1)>>21 && other.first>>21 <= (first+uintptr(n)-1)>>21 {
			return nil
		}
	}
	r.taken = append(r.taken, taken{node, first, first + uintptr(n)})
	return data
}

// node returns the node whose memory it is, or -1.
func (r *recorder) node(data []byte) int {
	at := uintptr(unsafe.Pointer(unsafe.SliceData(data)))
	for _, t := range r.taken {
		if at >= t.first && at < t.end {
			return t.node
		}
	}
	return -1
}
