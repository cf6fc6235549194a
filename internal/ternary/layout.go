package ternary

import (
	"errors"
	"fmt"
	"strings"
)

// Layout names an arrangement of packed trits. The package comment defines both.
type Layout uint8

// The layouts.
const (
	T2 Layout = iota // 2 bits a weight: 16 rows × 16 columns in 64 bytes
	T5               // 1.6 bits a weight: 16 rows × 20 columns in 64 bytes
	G2               // 2.25 bits with the scales of groups: 16 rows × 128 columns in 576 bytes
	G5               // 1.75 bits with the scales of groups: 16 rows × 128 columns in 448 bytes
	G1               // 1.125 bits with the scales of groups: 16 rows × 256 columns of ±1 in 576 bytes
)

// Constants of all layouts.
const (
	PanelRows  = 16 // rows that one panel interleaves
	BlockBytes = 64 // bytes of one block
	// GroupWidth is how many columns share a scale in the layouts that hold scales.
	GroupWidth = 128
)

var layoutNames = [...]string{T2: "t2", T5: "t5", G2: "g2", G5: "g5", G1: "g1"}

// geometry is the shape of the units that a panel is a sequence of: blocks, or
// the records of grouped layouts.
type geometry struct {
	cols, bytes int
	grouped     bool
}

var geometries = [...]geometry{
	T2: {16, BlockBytes, false},
	T5: {20, BlockBytes, false},
	G2: {GroupWidth, 9 * BlockBytes, true},
	G5: {GroupWidth, 7 * BlockBytes, true},
	G1: {2 * GroupWidth, 9 * BlockBytes, true},
}

// Layouts lists the layouts whose scales stand beside the weights.
func Layouts() []Layout { return []Layout{T2, T5} }

// GroupedLayouts lists the layouts that hold a scale for each [GroupWidth] columns.
func GroupedLayouts() []Layout { return []Layout{G2, G5, G1} }

// Grouped reports whether the layout holds a scale for each [GroupWidth] columns.
func (l Layout) Grouped() bool { return geometries[l].grouped }

// String returns the layout's name, "t2" or "t5".
func (l Layout) String() string {
	if int(l) < len(layoutNames) {
		return layoutNames[l]
	}
	return fmt.Sprintf("layout(%d)", uint8(l))
}

// ParseLayout returns the layout of that name, in either case of letters.
func ParseLayout(s string) (Layout, error) {
	for l, name := range layoutNames {
		if strings.EqualFold(s, name) {
			return Layout(l), nil
		}
	}
	return 0, fmt.Errorf("%w: %q (known: %s)", ErrLayout, s, strings.Join(layoutNames[:], ", "))
}

// UnitCols returns how many columns one unit covers: a block of T2 or T5 (16, 20),
// a record of the others (128, 256).
func (l Layout) UnitCols() int { return geometries[l].cols }

// UnitBytes returns the bytes of one unit of sixteen rows.
func (l Layout) UnitBytes() int { return geometries[l].bytes }

// BytesPerWeight returns the bytes that one weight takes, with its share of the
// scales in grouped layouts, padding aside.
func (l Layout) BytesPerWeight() float64 {
	return float64(l.UnitBytes()) / float64(PanelRows*l.UnitCols())
}

// Errors that functions of this package wrap.
var (
	ErrLayout = errors.New("ternary: unknown layout")
	ErrShape  = errors.New("ternary: shape mismatch")
	ErrCode   = errors.New("ternary: invalid code")
	ErrScales = errors.New("ternary: invalid scales")
)
