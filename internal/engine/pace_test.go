package engine

import (
	"math/rand/v2"
	"testing"
	"time"
)

// machine is how long a step of so many rows takes.
type machine func(rows int) time.Duration

// linear is a machine that needs some time for a step and some more for each row.
func linear(step, row time.Duration) machine {
	return func(rows int) time.Duration { return step + time.Duration(rows)*row }
}

// TestPaceBounds: whatever the machine, steps that somebody reads along with soon take as
// long as they may, and prompts get what is left, though neighbours disturb.
func TestPaceBounds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for name, m := range map[string]machine{
		"server":  linear(25*time.Millisecond, 4*time.Millisecond),
		"laptop":  linear(60*time.Millisecond, 9*time.Millisecond),
		"fast":    linear(5*time.Millisecond, 300*time.Microsecond),
		"instant": linear(0, time.Microsecond),
		"slow":    linear(0, 300*time.Millisecond),
		"steps": func(rows int) time.Duration { // rows by the dozen
			return 20*time.Millisecond + time.Duration((rows+11)/12*12)*4*time.Millisecond
		},
	} {
		for _, decoding := range []int{1, 2, 8} {
			const most = 256
			var p pace
			bound := max(passTime, 2*m(decoding))
			ideal := decoding + 1
			for ideal < most && m(ideal+1) <= bound {
				ideal++
			}
			p.observe(decoding, m(decoding))
			late := 0
			for i := range 300 {
				rows := p.limit(decoding, true, most)
				took := m(rows)
				if i >= 12 {
					if took > bound*5/4 && rows > decoding+1 {
						t.Fatalf("%s, step %d beside %d: %d rows take %v, more than %v", name, i, decoding, rows, took, bound)
					}
					if rows < ideal*6/10 {
						late++
					}
				}
				took += time.Duration(r.Float64() * .15 * float64(took))
				if r.IntN(40) == 0 {
					took *= 5 // the machine was busy with something else
				}
				p.observe(rows, took)
			}
			if late > 15 {
				t.Errorf("%s beside %d: %d of 300 steps have less than six tenths of %d rows", name, decoding, late, ideal)
			}
		}
	}
}

// TestPaceFollows: a machine becomes slower, and fast again.
func TestPaceFollows(t *testing.T) {
	var p pace
	run := func(m machine, steps int) (rows int) {
		for range steps {
			rows = p.limit(1, true, 256)
			p.observe(rows, m(rows))
		}
		return rows
	}
	fast, slow := linear(10*time.Millisecond, 2*time.Millisecond), linear(40*time.Millisecond, 8*time.Millisecond)
	if n := run(fast, 20); n < 45 || n > 60 {
		t.Errorf("%d rows of 2 ms in 110 ms", n)
	}
	if n := run(slow, 20); n < 8 || n > 12 {
		t.Errorf("%d rows of 8 ms in 80 ms", n)
	}
	if n := run(fast, 20); n < 45 || n > 60 {
		t.Errorf("fast again: %d rows of 2 ms in 110 ms", n)
	}
}

// TestPaceOutlier: one step that was held up for long hardly changes what is expected.
func TestPaceOutlier(t *testing.T) {
	var p pace
	for range 10 {
		p.observe(25, 100*time.Millisecond)
	}
	before := p.limit(1, true, 256)
	p.observe(25, time.Minute)
	if n := p.limit(1, true, 256); n < before*3/4 {
		t.Errorf("%d rows, before it %d", n, before)
	}
}

// TestPaceFirstSteps: nothing is known yet, or only of steps of other sizes.
func TestPaceFirstSteps(t *testing.T) {
	var p pace
	if n := p.limit(0, false, 256); n != 256 {
		t.Errorf("%d rows at the very start", n)
	}
	if n := p.limit(3, true, 256); n != 256 {
		t.Errorf("%d rows at the very start, beside others", n)
	}
	p.observe(200, 2*time.Second)
	if n := p.limit(1, true, 256); n < 2 || n > 12 {
		t.Errorf("%d rows after a long step: it is not known what short ones take", n)
	}
	p = pace{}
	p.observe(1, 50*time.Millisecond)
	if n := p.limit(1, true, 256); n != 2 {
		t.Errorf("%d rows after one of 50 ms", n)
	}
	if n := p.limit(300, true, 256); n != 256 {
		t.Errorf("%d rows of 256 beside 300", n)
	}
	if n := p.limit(1, true, 1); n != 1 {
		t.Errorf("%d rows of 1", n)
	}
}

// TestPaceAlone: without readers a step is as large as pays.
func TestPaceAlone(t *testing.T) {
	var p pace
	flat := linear(0, 4*time.Millisecond)
	for _, n := range []int{1, 8, 64} {
		p.observe(n, linear(30*time.Millisecond, 4*time.Millisecond)(n))
	}
	if n := p.limit(0, false, 256); n != 256 {
		t.Errorf("%d rows, though larger steps were never tried", n)
	}
	p.observe(256, flat(256))
	if n := p.limit(0, false, 256); n != 256 {
		t.Errorf("%d rows, though 256 are the cheapest", n)
	}
	for range 20 {
		p.observe(64, flat(64))
	}
	if n := p.limit(0, false, 256); n != 64 {
		t.Errorf("%d rows, though 64 are as cheap as 256", n)
	}
}

// TestPaceShort: where the largest step is short, no smaller one is chosen by times
// that differ by chance.
func TestPaceShort(t *testing.T) {
	var p pace
	p.observe(16, 3*time.Millisecond)
	p.observe(8, time.Millisecond)
	if n := p.limit(0, false, 16); n != 16 {
		t.Errorf("%d rows of 16, which take 3 ms", n)
	}
}
