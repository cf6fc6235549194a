package core

import (
	"fmt"
	"testing"
)

func TestLimitersAreBounded(t *testing.T) {
	g, err := newGuards(&Options{RateLimit: 1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * maxLimiters {
		if err := g.slowDown(fmt.Sprint(i)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(g.limiters); n > maxLimiters {
		t.Errorf("%d clients are remembered", n)
	}
}

// TestSlowDown: a client has so many requests in a minute, whatever others do; without a limit there is no bound.
func TestSlowDown(t *testing.T) {
	for limit, want := range map[int]int{0: 1000, 1: 1, 3: 3} {
		g, err := newGuards(&Options{RateLimit: limit})
		if err != nil {
			t.Fatal(err)
		}
		for _, client := range []string{"a", "b"} {
			got := 0
			for got < 1000 && g.slowDown(client) == nil {
				got++
			}
			if got != want {
				t.Errorf("client %s has %d requests, want %d", client, got, want)
			}
			if err := g.slowDown(client); limit > 0 && (Classify(err).Status != 429 || Classify(err).Retry == 0) {
				t.Errorf("client %s: %v", client, err)
			}
		}
	}
}
