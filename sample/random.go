package sample

import "math/rand/v2"

// A Stream is a seeded sequence of random numbers: the PCG-DXSM generator of
// math/rand/v2 with 128 bits of state, whose algorithm is fixed. Its two state
// words are the first two SplitMix64 outputs from the state
// seed + number·0xD1342543DE82EF95, where number 0 is the pipeline's stream of
// token draws and number 1 is XTC's coin.
//
// A Stream is a value: a copy continues from the same point.
type Stream struct{ pcg rand.PCG }

// The numbers of a pipeline's streams.
const (
	streamTokens = 0
	streamXTC    = 1
)

// NewStream returns stream number of the given seed.
func NewStream(seed, number uint64) Stream {
	state := seed + number*0xD1342543DE82EF95
	hi := splitMix64(&state)
	lo := splitMix64(&state)
	return Stream{*rand.NewPCG(hi, lo)}
}

// Uint64 returns the next 64 random bits.
func (s *Stream) Uint64() uint64 { return s.pcg.Uint64() }

// Float64 returns the next number in [0, 1): the top 53 of 64 random bits,
// times 2⁻⁵³.
func (s *Stream) Float64() float64 { return float64(s.Uint64()>>11) * 0x1p-53 }

// splitMix64 advances state and returns the next output of the SplitMix64
// generator (Steele, Lea and Flood, 2014).
func splitMix64(state *uint64) uint64 {
	*state += 0x9E3779B97F4A7C15
	z := *state
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// ForkSeed returns the seed that [Pipeline.Fork] gives the n-th fork of a
// pipeline seeded with seed.
func ForkSeed(seed, n uint64) uint64 {
	state := seed
	state = splitMix64(&state) + n
	return splitMix64(&state)
}
