package grammar

import (
	"fmt"
	"math/big"
	"slices"
	"strings"
)

// Limits on the digits of numbers.
const (
	integerDigits   = 18 // before the point: an int64 has them
	fractionDigits  = 20 // after it: a float64 between 0.001 and 1000 may have them
	realDigits      = 15 // in all, with a range or multipleOf: a float64 tells these apart, as many validators must
	maxNumberStates = 1 << 15
	maxModulus      = 1 << 12
)

// numberSpec is what a schema demands of a number.
type numberSpec struct {
	types             typeSet  // typeInteger, typeNumber, or typeFraction
	low, high         *big.Rat // nil: none
	lowOpen, highOpen bool     // exclusive
	multipleOf        []*big.Rat
}

// integers narrows the bounds to integers, all included.
func (n numberSpec) integers() numberSpec {
	one := big.NewInt(1)
	if n.low != nil {
		q, r := new(big.Int).DivMod(n.low.Num(), n.low.Denom(), new(big.Int))
		if r.Sign() != 0 || n.lowOpen {
			q.Add(q, one)
		}
		n.low, n.lowOpen = new(big.Rat).SetInt(q), false
	}
	if n.high != nil {
		q, r := new(big.Int).DivMod(n.high.Num(), n.high.Denom(), new(big.Int))
		if r.Sign() == 0 && n.highOpen {
			q.Sub(q, one)
		}
		n.high, n.highOpen = new(big.Rat).SetInt(q), false
	}
	return n
}

// empty reports whether the bounds exclude everything.
func (n numberSpec) empty() bool {
	if n.types == typeInteger {
		n = n.integers()
	}
	if n.low == nil || n.high == nil {
		return false
	}
	c := n.low.Cmp(n.high)
	return c > 0 || c == 0 && (n.lowOpen || n.highOpen)
}

// step returns the least common multiple of multipleOf as num/10^scale; num is 0 if there is none.
func (n numberSpec) step() (num int64, scale int, err error) {
	if len(n.multipleOf) == 0 {
		return 0, 0, nil
	}
	// lcm(a/b, c/d) = lcm(a, c)/gcd(b, d), both in lowest terms.
	a, b := new(big.Int).Set(n.multipleOf[0].Num()), new(big.Int).Set(n.multipleOf[0].Denom())
	for _, m := range n.multipleOf[1:] {
		g := new(big.Int).GCD(nil, nil, a, m.Num())
		a.Mul(a, new(big.Int).Div(m.Num(), g))
		b.GCD(nil, nil, b, m.Denom())
	}
	ten := big.NewInt(10)
	for p := big.NewInt(1); ; scale++ {
		if new(big.Int).Mod(p, b).Sign() == 0 {
			a.Mul(a, p.Div(p, b))
			break
		}
		p.Mul(p, ten) // the denominator of a decimal number divides a power of ten
	}
	for scale > 0 { // 10/10 is 1
		q, r := new(big.Int).DivMod(a, ten, new(big.Int))
		if r.Sign() != 0 {
			break
		}
		a = q
		scale--
	}
	if !a.IsInt64() || a.Int64() > maxModulus || scale > realDigits {
		return 0, 0, fmt.Errorf("%w: multiples of %se-%d; at most %d different remainders and %d decimals are possible", ErrTooLarge, a, scale, maxModulus, realDigits)
	}
	return a.Int64(), scale, nil
}

// signed returns the numbers of a sign, nil if n demands something else.
func (j *jsonRules) signed(n numberSpec) *expr {
	zero := func(bound *big.Rat) bool { return bound != nil && bound.Sign() == 0 }
	switch {
	case n.types != typeNumber || n.multipleOf != nil:
	case zero(n.low) && n.high == nil && n.lowOpen:
		return j.positive()
	case zero(n.low) && n.high == nil:
		return j.magnitude()
	case zero(n.high) && n.low == nil && n.highOpen:
		return seq(lit("-"), j.positive())
	case zero(n.high) && n.low == nil:
		return alt(lit("0"), seq(lit("-"), j.positive()))
	}
	return nil
}

// expr returns the numbers that n describes, without exponents.
func (n numberSpec) expr() (*expr, error) {
	integer := n.types == typeInteger
	exact := n.lowOpen || n.highOpen || n.multipleOf != nil
	if integer {
		n = n.integers()
	}
	b := &numberBuilder{integer: integer, exact: exact, fraction: n.types == typeFraction, g: &graph{}, index: map[digitState]int{}, digits: map[uint16]*expr{}}
	var err error
	if b.step, b.scale, err = n.step(); err != nil {
		return nil, err
	}
	start := b.g.node()
	zero := new(big.Rat)
	if n.high == nil || n.high.Sign() >= 0 {
		low, open := n.low, n.lowOpen
		if low == nil || low.Sign() < 0 {
			low, open = zero, false
		}
		if err := b.magnitudes(start, low, n.high, open, n.highOpen); err != nil {
			return nil, err
		}
	}
	if n.low == nil || n.low.Sign() < 0 {
		low, open := zero, true // −0 is no number of its own
		if n.high != nil && n.high.Sign() < 0 {
			low, open = new(big.Rat).Neg(n.high), n.highOpen
		}
		var high *big.Rat
		if n.low != nil {
			high = new(big.Rat).Neg(n.low)
		}
		minus := b.g.node()
		b.g.edge(start, minus, lit("-"))
		if err := b.magnitudes(minus, low, high, open, n.lowOpen); err != nil {
			return nil, err
		}
	}
	return graphExpr(b.g), nil
}

// numberBuilder builds the automaton of the digits of numbers.
type numberBuilder struct {
	integer  bool
	exact    bool  // a rounded number may be outside
	fraction bool  // no integers: the last digit is a decimal, and not 0
	step     int64 // 0: any number
	scale    int
	g        *graph
	index    map[digitState]int
	queue    []digitState
	digits   map[uint16]*expr // by the bits of the digits
	part     int              // numbers the calls of magnitudes
}

// digitState is a place among the digits of a number without sign.
type digitState struct {
	part int
	// whole is the number of digits before the point, or 0 as long as it is open.
	whole int
	at    int // digits so far
	// low and high: the digits so far are those of the bound, so it still matters.
	low, high bool
	point     bool  // the point was written
	zero      bool  // the last digit is 0, if that matters
	rest      int64 // the digits so far, modulo step
}

// bound is a number's digits: whole ones, then decimals.
type bound struct {
	digits string
	whole  int
	open   bool
}

func newBound(r *big.Rat, open bool) bound {
	text := r.FloatString(2 * maxJSONDigits)
	whole, decimals, _ := strings.Cut(text, ".")
	return bound{whole + strings.TrimRight(decimals, "0"), len(whole), open}
}

func (b bound) digit(i int) rune {
	if i < len(b.digits) {
		return rune(b.digits[i])
	}
	return '0'
}

// equalAt reports whether only zeros follow the first i digits.
func (b bound) equalAt(i int) bool {
	return i >= len(b.digits) || strings.Trim(b.digits[i:], "0") == ""
}

// magnitudes adds the numbers from low to high, which may be nil. Numbers without leading
// zeros and with the same number of digits before the point compare like
// their digits.
func (b *numberBuilder) magnitudes(start int, low, high *big.Rat, lowOpen, highOpen bool) error {
	b.part++
	lo := newBound(low, lowOpen)
	limit := realDigits
	if b.integer && !b.exact {
		limit = integerDigits
	}
	limit = max(limit, lo.whole)
	var hi bound
	if high != nil {
		hi = newBound(high, highOpen)
		limit = min(limit, hi.whole)
	}
	for whole := lo.whole; whole <= limit; whole++ {
		s := digitState{part: b.part, whole: whole, low: whole == lo.whole, high: high != nil && whole == hi.whole}
		if !s.low && !s.high {
			s.whole = 0 // one automaton for all lengths in between
		}
		b.g.edge(start, b.state(s), nil)
	}
	decimals := max(len(lo.digits)-lo.whole, len(hi.digits)-hi.whole, 0)
	for len(b.queue) > 0 {
		s := b.queue[0]
		b.queue = b.queue[1:]
		b.expand(s, lo, hi, limit, high != nil, decimals)
		if len(b.index) > maxNumberStates {
			return fmt.Errorf("%w: the numbers of a range need more than %d states", ErrTooLarge, maxNumberStates)
		}
	}
	return nil
}

func (b *numberBuilder) state(s digitState) int {
	i, ok := b.index[s]
	if !ok {
		i = b.g.node()
		b.index[s] = i
		b.queue = append(b.queue, s)
	}
	return i
}

// expand adds the edges out of a state.
func (b *numberBuilder) expand(s digitState, lo, hi bound, limit int, bounded bool, decimals int) {
	// Lengths that no bound touches lie between those of the bounds.
	least, most := lo.whole+1, limit
	if s.whole > 0 {
		least, most = s.whole, s.whole
	} else if bounded && hi.whole == limit {
		most--
	}
	from := b.index[s]
	mayEnd := s.at >= least && s.at > 0
	if s.point {
		mayEnd = s.at > s.whole
	}
	if b.fraction && (!s.point || s.zero) {
		mayEnd = false
	}
	if mayEnd && b.ends(s, lo, hi) {
		b.g.final = append(b.g.final, from)
	}
	if !s.point && s.at > 0 && s.at >= least && !b.integer {
		t := s
		t.point, t.whole = true, s.at
		if places(t, decimals, b) > t.at {
			b.g.edge(from, b.state(t), lit("."))
		}
	}
	switch {
	case !s.point && s.at >= most, s.point && s.at >= places(s, decimals, b):
		return
	}
	first, last := '0', '9'
	if !s.point && s.at == 0 && most > 1 && (s.whole != 1) {
		first = '1' // no leading zero
	}
	if s.low {
		first = max(first, lo.digit(s.at))
	}
	if s.high {
		last = min(last, hi.digit(s.at))
	}
	var to [10]int // the states that digits lead to, with the digits of each
	var digits [10]uint16
	n := 0
	for d := first; d <= last; d++ {
		t := s
		t.at++
		t.low = s.low && d == lo.digit(s.at)
		t.high = s.high && d == hi.digit(s.at)
		t.zero = b.fraction && d == '0'
		if b.step > 0 {
			t.rest = (s.rest*10 + int64(d-'0')) % b.step
		}
		next := b.state(t)
		i := slices.Index(to[:n], next)
		if i < 0 {
			i = n
			to[i] = next
			n++
		}
		digits[i] |= 1 << (d - '0')
	}
	for i := range n {
		b.g.edge(from, to[i], b.anyOf(digits[i]))
	}
}

// anyOf returns the digits whose bits are set.
func (b *numberBuilder) anyOf(digits uint16) *expr {
	e := b.digits[digits]
	if e == nil {
		var ranges []runeRange
		for d := range rune(10) {
			if digits>>d&1 != 0 {
				ranges = append(ranges, runeRange{'0' + d, '0' + d})
			}
		}
		e = charsExpr(newSet(ranges...))
		b.digits[digits] = e
	}
	return e
}

// places returns up to how many digits a number with a point has.
func places(s digitState, decimals int, b *numberBuilder) int {
	n := max(realDigits-s.whole, 0)
	if decimals > 0 {
		n = max(n, decimals+1)
	}
	if b.step > 0 {
		n = b.scale
	}
	return s.whole + n
}

// ends reports whether the number may end at s.
func (b *numberBuilder) ends(s digitState, lo, hi bound) bool {
	if s.low && (!lo.equalAt(s.at) || lo.open) {
		return false
	}
	if s.high && hi.open && hi.equalAt(s.at) {
		return false
	}
	if b.step == 0 {
		return true
	}
	missing := b.scale
	if s.point {
		missing -= s.at - s.whole
	}
	rest := s.rest
	for range missing {
		rest = rest * 10 % b.step
	}
	return rest == 0
}
