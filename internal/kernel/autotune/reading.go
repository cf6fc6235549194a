package autotune

import (
	"slices"
	"time"

	"trit/internal/kernel"
	"trit/internal/parallel"
	"trit/internal/vmem"
)

// Reading is what the workers of a team read from memory. On a virtual machine that
// changes from hour to hour with what its neighbours do, and with it which layout is
// fastest. So each model that is loaded looks again; what is remembered holds as long as
// the two are within a factor of drift.
type Reading struct {
	Workers  int
	Rate     float64   // bytes/s of all workers together, which layouts are chosen by
	Measured time.Time // when that was
	Now      float64   // the rate when the model was loaded; 0 if it could not be measured
}

// drift is the factor by which a rate must have changed for layouts to be chosen anew.
const drift = 1.25

// unknownRate stands for the rate of a worker that nobody could measure.
const unknownRate = 10e9

// rate returns the bytes per second of one of all busy workers, and whether that is news
// for the file.
func (c *Choices) rate() (perWorker float64, fresh bool) {
	t, n := c.tuner, c.team.Size()
	if c.reading.Workers == 0 {
		now := t.ReadRate(c.team)
		was, known := t.reads[n]
		if fresh = now > 0 && (!known || now > was.Rate*drift || now < was.Rate/drift); fresh {
			was = Reading{Workers: n, Rate: now, Measured: t.now().UTC().Truncate(time.Second)}
			t.reads[n] = was
		} else if !known {
			was = Reading{Workers: n, Rate: unknownRate * float64(n)}
		}
		c.reading = was
		c.reading.Now = now
	}
	return c.reading.Rate / float64(n), fresh
}

// What is read to find out the rate. Memory that has just been given to the program is
// in part still in the caches, so of the pieces that are read one after the other the
// slower ones count, and not the slowest, which another program may have disturbed.
const (
	readPiece  = 2 << 20 // of each worker, a huge page
	readPieces = 16
	readMost   = 512 << 20
)

// measureReading takes a hundredth of the time that it takes to load weights for which
// the answer matters.
func measureReading(team *parallel.Team) float64 {
	piece := readPiece * team.Size()
	pieces := max(min(readPieces, readMost/piece), 4)
	region, err := vmem.Reserve(pieces * piece)
	if err != nil {
		return 0
	}
	// Nothing depends on whether it is given back.
	defer func() { _ = region.Close() }()
	if region.Commit(0, pieces*piece) != nil {
		return 0
	}
	team.Run(touchTask(region.Bytes()), pieces*team.Size())
	var rates []float64
	for i := range pieces {
		start := time.Now()
		team.Run(readTask(region.Bytes()[i*piece:][:piece]), piece/readSlice)
		rates = append(rates, float64(piece)/max(time.Since(start), 1).Seconds())
	}
	slices.Sort(rates)
	return rates[len(rates)/4]
}

// touchTask writes to every page, one of which is a huge one with luck.
type touchTask []byte

// Do implements parallel.Task.
func (t touchTask) Do(_, slice int) {
	const page = 4096
	for part := t[slice*readPiece:][:readPiece]; len(part) > 0; part = part[page:] {
		part[0] = 1
	}
}

const readSlice = 256 << 10

type readTask []byte

// Do implements parallel.Task.
func (t readTask) Do(_, slice int) { kernel.StreamRead(t[slice*readSlice:][:readSlice]) }
