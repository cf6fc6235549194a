package profile

import (
	"strconv"
	"sync/atomic"
	"time"

	"trit/internal/hugemem"
	"trit/internal/kernel"
	"trit/internal/parallel"
)

// Limits are what a machine can do at best, measured by streaming reads of a large
// array that the workers share and by int8 instructions of all workers at once.
type Limits struct {
	// ReadBandwidth is the speed of streaming reads from memory, in bytes/s.
	ReadBandwidth float64
	// Int8MACs is the rate of the int8 multiply-accumulate instructions that
	// the kernels use, on registers only, per second.
	Int8MACs float64
	// TileMACs is the same of the instructions on tiles, 0 without them.
	TileMACs float64
}

// peak returns the limit of products of so many rows of activations.
func (l Limits) peak(rows float64) float64 {
	if l.TileMACs > 0 && kernel.Tiles(int(rows)) {
		return l.TileMACs
	}
	return l.Int8MACs
}

// larger returns the larger of each limit. Other programs can make a limit look lower
// than it is, but not higher.
func (l Limits) larger(m Limits) Limits {
	return Limits{max(l.ReadBandwidth, m.ReadBandwidth), max(l.Int8MACs, m.Int8MACs), max(l.TileMACs, m.TileMACs)}
}

// Sizes of the array that is streamed through: far larger than the caches, or
// reads would not come from memory.
const (
	minStream   = 256 << 20
	maxStream   = 4 << 30
	cacheFactor = 4
	streamSlice = 1 << 20
)

func streamBytes() int {
	n := min(max(minStream, cacheFactor*largestCache()), maxStream)
	if strconv.IntSize == 32 {
		n = minStream
	}
	return int(n)
}

// limitProbe measures the limits repeatedly.
type limitProbe struct {
	team   *parallel.Team
	stream []byte
	time   time.Duration

	int8, tiles *peakProbe // tiles is nil where there are none
	sum         atomic.Uint64
}

// newLimitProbe prepares an array of so many bytes, 0 for a suitable number.
func newLimitProbe(team *parallel.Team, bytes int, time time.Duration) *limitProbe {
	if bytes == 0 {
		bytes = streamBytes()
	}
	p := &limitProbe{team: team, stream: hugemem.Bytes(bytes), time: time, int8: newPeakProbe(team, kernel.Int8Peak)}
	// Pages that have never been written are all one page of zeros.
	team.Run(&fillTask{p.stream}, slicesOf(p.stream))
	if kernel.TilePeak(1) > 0 {
		p.tiles = newPeakProbe(team, kernel.TilePeak)
	}
	return p
}

// peakSlice is how long a slice of int8 instructions should run.
const peakSlice = 100 * time.Microsecond

func slicesOf(b []byte) int { return (len(b) + streamSlice - 1) / streamSlice }

func sliceOf(b []byte, i int) []byte { return b[i*streamSlice : min((i+1)*streamSlice, len(b))] }

// limitParts is how many runs of int8 instructions a measurement consists of.
const limitParts = 5

// measure measures all limits. Each is the median of a few short runs, which a
// moment's disturbance does not change.
func (p *limitProbe) measure() Limits {
	var reads Samples
	for begin := time.Now(); len(reads) < 3 || time.Since(begin) < p.time; {
		start := time.Now()
		p.team.Run((*streamTask)(p), slicesOf(p.stream))
		reads = append(reads, float64(len(p.stream))/max(time.Since(start), 1).Seconds())
	}
	l := Limits{ReadBandwidth: reads.Median(), Int8MACs: p.int8.measure(p.time)}
	if p.tiles != nil {
		l.TileMACs = p.tiles.measure(p.time)
	}
	return l
}

// peakProbe measures how many multiply-accumulates a kind of instructions does.
type peakProbe struct {
	team  *parallel.Team
	run   func(iters int) int64 // returns how many it did
	iters int                   // rounds of instructions per slice
	macs  atomic.Int64
}

// newPeakProbe finds out how many rounds fill the time of a slice.
func newPeakProbe(team *parallel.Team, run func(iters int) int64) *peakProbe {
	p := &peakProbe{team: team, run: run, iters: 16}
	for p.iters < 1<<24 && p.once(1) < peakSlice {
		p.iters *= 2
	}
	return p
}

// measure returns a rate per second.
func (p *peakProbe) measure(time time.Duration) float64 {
	var rates Samples
	slices := max(1, int(time/limitParts/peakSlice)) * p.team.Size()
	for range limitParts {
		elapsed := p.once(slices)
		rates = append(rates, float64(p.macs.Load())/elapsed.Seconds())
	}
	return rates.Median()
}

// once runs slices of instructions.
func (p *peakProbe) once(slices int) time.Duration {
	p.macs.Store(0)
	start := time.Now()
	p.team.Run(p, slices)
	return max(time.Since(start), 1)
}

func (p *peakProbe) Do(_, _ int) { p.macs.Add(p.run(p.iters)) }

type fillTask struct{ buf []byte }

func (t *fillTask) Do(_, slice int) {
	part := sliceOf(t.buf, slice)
	for i := range part {
		part[i] = byte(i)
	}
}

type streamTask limitProbe

func (t *streamTask) Do(_, slice int) { t.sum.Add(kernel.StreamRead(sliceOf(t.stream, slice))) }
