package core

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestGate(t *testing.T) {
	g := newGate(4, 3)
	ctx := t.Context()
	var mu sync.Mutex
	var order []string
	enter := func(client string, n int) func() {
		leave, err := g.enter(ctx, client, n)
		if err != nil {
			t.Error(err)
			return func() {}
		}
		mu.Lock()
		order = append(order, client)
		mu.Unlock()
		return leave
	}
	waits := func(n int) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
			if _, waiting := g.counts(); waiting == n {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("not %d wait", n)
			}
		}
	}
	if newGate(1, 0).full() {
		t.Error("a gate with a free place and no queue is full")
	}
	a1, a2 := enter("a", 2), enter("a", 2)
	if g.full() {
		t.Error("the gate is full while nobody waits")
	}
	later := make(chan func(), 3)
	go func() { later <- enter("a", 1) }()
	waits(1)
	go func() { later <- enter("b", 4) }()
	waits(2)
	go func() { later <- enter("c", 1) }()
	waits(3)
	if _, err := g.enter(ctx, "d", 1); Classify(err).Status != 429 {
		t.Errorf("the queue took a fourth: %v", err)
	}
	if !g.full() {
		t.Error("the gate is not full")
	}
	// b has nothing running and came before c: nobody overtakes it, though
	// there would be room for others.
	a1()
	waits(3)
	a2()
	(<-later)()
	(<-later)()
	(<-later)()
	waits(0)
	if got := strings.Join(order, ""); got != "aabac" && got != "aabca" {
		t.Errorf("the order was %s", got)
	}
	// More answers than places take all places.
	all := enter("a", 100)
	if running, _ := g.counts(); running != 4 {
		t.Errorf("%d places are taken", running)
	}
	gone, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := g.enter(gone, "b", 1); err == nil {
		t.Error("a cancelled request was let in")
	}
	waits(0)
	all()
	all() // twice is once
	if running, _ := g.counts(); running != 0 || len(g.running) != 0 {
		t.Errorf("%d places are taken: %v", running, g.running)
	}
}

func TestGateUnderContention(t *testing.T) {
	g := newGate(3, 1000)
	var wg sync.WaitGroup
	for i := range 50 {
		wg.Go(func() {
			for k := range 20 {
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+k%5)*time.Millisecond)
				if leave, err := g.enter(ctx, fmt.Sprint(i%7), 1+i%4); err == nil {
					time.Sleep(50 * time.Microsecond)
					leave()
				}
				cancel()
			}
		})
	}
	wg.Wait()
	if running, waiting := g.counts(); running != 0 || waiting != 0 || g.next != nil || len(g.running) != 0 {
		t.Errorf("%d running, %d waiting, %v", running, waiting, g.running)
	}
}

// TestGatePlacesOfAClient: one client does not get all places, however free they are.
func TestGatePlacesOfAClient(t *testing.T) {
	g := newGate(4, 8)
	g.most = 3
	enter := func(client string, n int) (func(), error) {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
		defer cancel()
		return g.enter(ctx, client, n)
	}
	var leave []func()
	for range 3 {
		l, err := enter("a", 1)
		if err != nil {
			t.Fatal(err)
		}
		leave = append(leave, l)
	}
	if _, err := enter("a", 1); err == nil {
		t.Error("a client has all four places")
	}
	other, err := enter("b", 1)
	if err != nil {
		t.Fatal(err)
	}
	other()
	leave[0]()
	if l, err := enter("a", 1); err != nil {
		t.Error(err)
	} else {
		l()
	}
	leave[1]()
	leave[2]()
	if l, err := enter("a", 4); err != nil { // one request may have more than that, if its client has nothing else
		t.Error(err)
	} else {
		l()
	}
}

// TestGateCrowds: a client whose places are bounded has no more than three quarters of the queue, so that others find
// room in it; one that may have all places may have all of the queue too.
func TestGateCrowds(t *testing.T) {
	for most, want := range map[int]int{3: 6, 4: 8} {
		g := newGate(4, 8)
		g.most = most
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := g.enter(ctx, "a", 4); err != nil {
			t.Fatal(err)
		}
		var wg sync.WaitGroup
		wait := func(client string) error {
			refused := make(chan error, 1)
			_, before := g.counts()
			wg.Go(func() {
				_, err := g.enter(ctx, client, 1)
				refused <- err
			})
			for {
				select {
				case err := <-refused:
					return err
				case <-time.After(time.Millisecond):
					if _, waiting := g.counts(); waiting > before {
						return nil
					}
				}
			}
		}
		got := 0
		for wait("a") == nil {
			got++
		}
		if got != want {
			t.Errorf("%d requests of a client wait, which may have %d places of 4; want %d of 8", got, most, want)
		}
		if err := wait("b"); (err == nil) != (want < 8) {
			t.Errorf("another client, when %d requests wait: %v", got, err)
		}
		cancel()
		wg.Wait()
		if _, waiting := g.counts(); waiting != 0 {
			t.Errorf("%d still wait", waiting)
		}
	}
}
