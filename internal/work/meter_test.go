package work

import (
	"context"
	"errors"
	"testing"
)

func TestMeter(t *testing.T) {
	spend := func(m *Meter, n int) (end any) {
		defer func() { end = recover() }()
		for range n {
			m.Spend(1)
		}
		return nil
	}
	var none context.Context
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		m    *Meter
		n    int
		want any
	}{
		"none":              {nil, 1 << 20, nil},
		"enough":            {NewMeter(none, 10), 10, nil},
		"too much":          {NewMeter(none, 10), 11, Exhausted{}},
		"enough in time":    {NewMeter(t.Context(), 1<<16), 1 << 16, nil},
		"too much in time":  {NewMeter(t.Context(), 1<<16), 1<<16 + 1, Exhausted{}},
		"little, too late":  {NewMeter(ended, Unbounded), 1, Stopped{context.Canceled}},
		"nothing, too late": {NewMeter(ended, Unbounded), 0, nil},
	} {
		if got := spend(c.m, c.n); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	late, cancel := context.WithCancel(t.Context())
	m := NewMeter(late, Unbounded)
	spend(m, 1)
	cancel()
	if got := spend(m, lookEvery); got != nil {
		t.Errorf("%v before the context is looked at", got)
	}
	if got := spend(m, 1); got != (Stopped{context.Canceled}) {
		t.Errorf("%v when it is", got)
	}
}

func TestUntil(t *testing.T) {
	ends := func(r any) (err error) {
		defer Until(&err)
		if r != nil {
			panic(r)
		}
		return nil
	}
	if err := ends(nil); err != nil {
		t.Error(err)
	}
	if err := ends(Stopped{context.Canceled}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	defer func() {
		if recover() != "other" {
			t.Error("another panic was swallowed")
		}
	}()
	t.Error(ends("other"))
}
