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
)

// The shape of a block, common to all layouts.
const (
	PanelRows  = 16 // rows that one panel interleaves
	BlockBytes = 64 // bytes of one block
)

var layoutNames = [...]string{T2: "t2", T5: "t5"}

// Layouts lists all layouts.
func Layouts() []Layout { return []Layout{T2, T5} }

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

// BlockCols returns how many columns one block covers: 16 or 20.
func (l Layout) BlockCols() int {
	if l == T5 {
		return 20
	}
	return 16
}

// BytesPerWeight returns the bytes that one weight takes, padding aside.
func (l Layout) BytesPerWeight() float64 {
	return float64(BlockBytes) / float64(PanelRows*l.BlockCols())
}

// Errors that functions of this package wrap.
var (
	ErrLayout = errors.New("ternary: unknown layout")
	ErrShape  = errors.New("ternary: shape mismatch")
	ErrCode   = errors.New("ternary: invalid code")
	ErrScales = errors.New("ternary: invalid scales")
)
