package head

import "encoding/binary"

// chooseSlice chooses the tokens of a query.
func (c *coarse) chooseSlice(_, i int) {
	if q := &c.queries[i]; !q.givenUp {
		q.choose()
	}
}

// choose makes the selection from the exact logits.
func (q *query) choose() {
	q.listExact()
	q.largest = q.sel.choose(q.y, q.exactRows)
}

// listExact lists the tokens whose logits are exact.
func (q *query) listExact() {
	q.exactRows = q.exactRows[:0]
	for base := 0; base < len(q.plane); base += 8 {
		p := q.plane[base:min(base+8, len(q.plane))]
		if len(p) == 8 {
			// Both bits of a byte are set only for exact.
			if x := binary.LittleEndian.Uint64(p); x&(x>>1)&0x0101010101010101 == 0 {
				continue
			}
		}
		for j, plane := range p {
			if plane == exact {
				q.exactRows = append(q.exactRows, int32(base+j))
			}
		}
	}
}
