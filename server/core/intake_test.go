package core

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"trit/grammar"
)

// TestIntake admits bodies by their size, the client with the fewest first, and gives up on those that
// find no room.
func TestIntake(t *testing.T) {
	o := Options{Queue: 4, ReadTimeout: 50 * time.Millisecond, Parallel: 1}
	in := newIntake(&o, freeMemory+requestShare*bodyWeight*bodyUnit*10)
	if in.memory != bodyWeight*bodyUnit*10 || in.bodies.places != 10 {
		t.Fatalf("%d bytes, %d places", in.memory, in.bodies.places)
	}
	ctx := t.Context()
	small, err := in.admit(ctx, "a", bodyUnit)
	if err != nil {
		t.Fatal(err)
	}
	defer small()
	first, err := in.admit(ctx, "a", 10*bodyUnit)
	if err != nil {
		t.Fatal(err)
	}
	_, err = in.admit(ctx, "a", bodyUnit+1)
	if e, ok := errors.AsType[*Error](err); !ok || e.Status != http.StatusServiceUnavailable || e.Retry == 0 {
		t.Errorf("%v, want a busy server", err)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := in.admit(gone, "a", bodyUnit+1); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want a client that has gone", err)
	}
	first()
	for _, size := range []int64{1 << 40, 10 * bodyUnit} { // what is larger than everything has it alone
		leave, err := in.admit(ctx, "b", size)
		if err != nil {
			t.Fatal(err)
		}
		leave()
	}
	if running, waiting := in.bodies.counts(); running != 0 || waiting != 0 {
		t.Errorf("%d units are held, %d wait", running, waiting)
	}
	for limit, want := range map[int64]int64{0: maxIntakeMemory, 1 << 20: 0, freeMemory: 0, 1 << 40: maxIntakeMemory} {
		if in := newIntake(&o, limit); in.memory != want || in.bodies.places < 1 {
			t.Errorf("of %d bytes requests get %d, want %d", limit, in.memory, want)
		}
	}
	for limit, want := range map[int64]struct{ limit, aside int64 }{
		0: {grammar.DefaultMemory, maxGrammars}, 1 << 20: {leastGrammars, 0}, 1 << 40: {grammar.DefaultMemory, maxGrammars},
		freeMemory + 640<<20: {40 << 20 / grammar.MemoryPeak, 40 << 20},
	} {
		if in := newIntake(&o, limit); in.grammars.Limit() != want.limit || in.aside-in.memory != want.aside {
			t.Errorf("of %d bytes grammars get %d of %d that are set aside, want %+v", limit, in.grammars.Limit(), in.aside-in.memory, want)
		}
	}
	const most = freeMemory + 640<<20
	s, err := New(Options{MemoryLimit: most})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if used, limit := s.Models.Memory(); limit != most || used != 80<<20+40<<20 {
		t.Errorf("%d bytes of %d are used without a model, want what is set aside for bodies and grammars", used, limit)
	}
}
