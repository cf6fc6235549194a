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
