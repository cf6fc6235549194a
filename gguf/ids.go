package gguf

import (
	"fmt"
	"slices"
	"strings"
)

// reading is one of the meanings of a type id. Projects number their types
// independently, so an id alone does not say how a tensor is stored; the bytes
// that it occupies do, because the meanings of an id differ in size.
type reading struct {
	typ Type // unread for a meaning that this package refuses
	// name, elems and bytes describe what is refused: its usual name and block.
	name         string
	elems, bytes int64
	// advice says where the meaning comes from and what to use instead.
	advice string
	// bitnet: where the bytes leave it open, this is what files of bitnet.cpp mean.
	bitnet bool
}

// unread marks a reading without a type of this package.
const unread Type = 1<<32 - 1

const convertAgain = "; convert the model again with a current converter"

// readings lists the ids that have several meanings, or none that is read.
var readings = map[uint32][]reading{
	4:  {{typ: unread, name: "Q4_2", elems: 16, bytes: 10, advice: "removed from ggml in 2023" + convertAgain}},
	5:  {{typ: unread, name: "Q4_3", elems: 16, bytes: 12, advice: "removed from ggml in 2023" + convertAgain}},
	31: {{typ: unread, name: "Q4_0_4_4", elems: 32, bytes: 18, advice: "removed from llama.cpp; use the plain Q4_0 file"}},
	32: {{typ: unread, name: "Q4_0_4_8", elems: 32, bytes: 18, advice: "removed from llama.cpp; use the plain Q4_0 file"}},
	33: {{typ: unread, name: "Q4_0_8_8", elems: 32, bytes: 18, advice: "removed from llama.cpp; use the plain Q4_0 file"}},
	36: {
		{typ: TypeI2S, bitnet: true},
		{typ: unread, name: "IQ4_NL_4_4", elems: 32, bytes: 18, advice: "removed from llama.cpp; use the IQ4_NL file"},
	},
	37: {
		{typ: unread, name: "I8_S", elems: 1, bytes: 1, advice: "bitnet.cpp's type of activations, which files do not hold" + convertAgain},
		{typ: unread, name: "IQ4_NL_4_8", elems: 32, bytes: 18, advice: "removed from llama.cpp; use the IQ4_NL file"},
	},
	38: {
		{typ: TypeTL1, bitnet: true},
		{typ: unread, name: "IQ4_NL_8_8", elems: 32, bytes: 18, advice: "removed from llama.cpp; use the IQ4_NL file"},
	},
	39: {{typ: TypeTL2, bitnet: true}, {typ: TypeMXFP4}},
	40: {
		{typ: unread, name: "NVFP4", elems: 64, bytes: 36, advice: "4-bit floats of llama.cpp, which are not ternary; use another quantisation of the model"},
		{typ: unread, name: "Q1_0 of Prism before April 2026", elems: 32, bytes: 6, advice: "use a current file of the model"},
	},
	41:  {{typ: TypeQ1_0}, {typ: TypeQ2SEQ}},
	42:  {{typ: TypeQ2_0}, {typ: TypeQ2_0G128}, {typ: TypeSTQ1_0}},
	43:  {{typ: TypeSTQ1_0}},
	134: {{typ: TypeIQ1BN}, {typ: TypeIQ1BNBare}},
	135: {{typ: TypeIQ2BN}, {typ: TypeIQ2BNBare}},
}

// String names the meaning as messages do.
func (r reading) String() string {
	if r.typ != unread {
		return r.typ.String()
	}
	return r.name
}

// size returns the bytes that a tensor takes in this reading.
func (r reading) size(dims []int64) (int64, bool) {
	if r.typ != unread {
		size, err := r.typ.Size(dims)
		return size, err == nil
	}
	n, err := Elements(dims)
	if err != nil || firstDim(dims)%r.elems != 0 {
		return 0, false
	}
	blocks := n / r.elems
	return blocks * r.bytes, blocks <= 1<<62/r.bytes
}

// fromBitnet reports whether a file was written by Microsoft's bitnet.cpp, as
// far as its metadata tells: by the architecture, or by general.file_type, where
// bitnet.cpp writes 38 (TL1), 39 (TL2) or 40 (I2_S).
func fromBitnet(m *Metadata) bool {
	if v, ok := m.Get(keyArchitecture); ok && v.typ == ValueString && strings.HasPrefix(v.str, "bitnet") {
		return true
	}
	if v, ok := m.Get(keyFileType); ok {
		if n, ok := v.asUint64(); ok && n >= uint64(fileTypes[TypeTL1]) && n <= uint64(fileTypes[TypeI2S]) {
			return true
		}
	}
	return false
}

// resolveTypes settles the type of every tensor. extents are the bytes between a
// tensor's offset and the next one's, or the end of the file.
//
// Among the readings of an id the one counts whose size is that on disk. A tensor
// so small that padding hides the difference, or one that the end of the file
// cuts off, follows the others of its id; if none of them tells either, the
// file's origin decides.
func resolveTypes(raw []rawTensor, extents []int64, align int64, bitnet bool) ([]Type, error) {
	types := make([]Type, len(raw))
	settled := map[uint32]Type{}
	var open []int
	for i, r := range raw {
		candidates, contested := readings[r.id]
		if !contested {
			if t := Type(r.id); r.id > 0xffff || !t.Known() {
				return nil, refuse(r, extents[i])
			}
			types[i] = Type(r.id)
			continue
		}
		if fit := fitting(candidates, r.dims, extents[i], align); len(fit) != 1 {
			open = append(open, i)
		} else if fit[0].typ == unread {
			return nil, refuse(r, extents[i])
		} else {
			types[i] = fit[0].typ
			settled[r.id] = fit[0].typ
		}
	}
	for _, i := range open {
		r := raw[i]
		// What is possible: an exact fit, else a tensor with a gap behind it, else
		// one that the end of the file cuts off.
		possible := fitting(readings[r.id], r.dims, extents[i], align)
		gap := false
		if len(possible) == 0 {
			possible = smaller(readings[r.id], r.dims, extents[i])
			gap = len(possible) > 0
		}
		if len(possible) == 0 {
			possible = readings[r.id]
		}
		t, ok := settled[r.id]
		if !ok || !slices.ContainsFunc(possible, func(c reading) bool { return c.typ == t }) {
			t, ok = byOrigin(possible, bitnet, gap)
		}
		if !ok {
			return nil, refuse(r, extents[i])
		}
		types[i] = t
	}
	return types, nil
}

// fitting returns the readings whose size, padded or not, is extent.
func fitting(candidates []reading, dims []int64, extent, align int64) []reading {
	var fit []reading
	for _, c := range candidates {
		size, ok := c.size(dims)
		if ok && (extent == size || extent-size < align && extent == alignUp(size, align)) {
			fit = append(fit, c)
		}
	}
	return fit
}

// smaller returns the readings that take fewer bytes than extent.
func smaller(candidates []reading, dims []int64, extent int64) []reading {
	var less []reading
	for _, c := range candidates {
		if size, ok := c.size(dims); ok && size < extent {
			less = append(less, c)
		}
	}
	return less
}

// byOrigin chooses where the bytes do not, as the projects that a file may come
// from would read it. Behind a tensor with a gap only files of bitnet.cpp are
// believed, because their metadata speak for them.
func byOrigin(possible []reading, bitnet, gap bool) (Type, bool) {
	var others []reading
	for _, c := range possible {
		if c.bitnet && bitnet {
			return c.typ, true
		}
		if !c.bitnet {
			others = append(others, c)
		}
	}
	if gap || len(others) != 1 || others[0].typ == unread {
		return 0, false
	}
	return others[0].typ, true
}

// refuse reports a tensor whose type id stands for nothing that is read, with
// what the id may mean, the bytes that were found and what to do.
func refuse(r rawTensor, extent int64) error {
	candidates, ok := readings[r.id]
	if !ok {
		return fmt.Errorf("%w: tensor %s has type id %d: no known type; the file is corrupt or newer than this reader", ErrUnsupported, quote(r.name), r.id)
	}
	var b strings.Builder
	for i, c := range candidates {
		if i > 0 {
			b.WriteString(", or ")
		}
		b.WriteString(c.String())
		if size, ok := c.size(r.dims); ok {
			fmt.Fprintf(&b, " (%d bytes)", size)
		}
		if c.advice != "" {
			fmt.Fprintf(&b, ": %s", c.advice)
		}
	}
	n, err := Elements(r.dims)
	if err != nil {
		return fmt.Errorf("tensor %s: %w", quote(r.name), err)
	}
	return fmt.Errorf("%w: tensor %s has type id %d, which stands for %s; in the file it has %d bytes, %.1f for 512 elements%s", ErrUnsupported,
		quote(r.name), r.id, b.String(), extent, float64(extent)/float64(n)*512, ofSize(r.dims, extent))
}

// ofSize says which types take so many bytes, if there are any.
func ofSize(dims []int64, extent int64) string {
	var names []string
	for t := range traits {
		if size, err := t.Size(dims); err == nil && size == extent {
			names = append(names, t.String())
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return ", as " + strings.Join(names, " or ") + " takes: the id is wrong; download or convert the file again"
}
