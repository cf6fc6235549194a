package sample_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"trit/sample"
)

// TestOwnStages places stages of one's own and shows what reaches them.
func TestOwnStages(t *testing.T) {
	logits := []float32{1, 2, 3, 4, 5, 6}
	var seen []float32
	watch := sample.Process("watch", func(logits []float32, _ *sample.Context) error {
		seen = append([]float32(nil), logits...)
		return nil
	})
	flip := sample.Process("flip", func(logits []float32, _ *sample.Context) error {
		for i, v := range logits {
			logits[i] = -v
		}
		logits[1] = float32(math.NaN())
		return nil
	})
	inf := float32(math.Inf(-1))
	tests := []struct {
		name   string
		change func(o *sample.Options)
		mask   []uint64
		seen   []float32
		token  int32
	}{
		{"first", func(o *sample.Options) { o.Temperature, o.Stages = 0, []sample.Stage{watch} }, nil, logits, 5},
		{"behind the mask", func(o *sample.Options) { o.Stages = []sample.Stage{watch} }, []uint64{0b1011}, []float32{1, 2, inf, 4, inf, inf}, 3},
		{"where the order says", func(o *sample.Options) {
			o.TopK, o.Temperature, o.Stages, o.Order = 2, 0.5, []sample.Stage{watch}, sample.Order{"top_k", "temperature", "watch"}
			o.MinP = 1
			o.Order = append(o.Order, "min_p")
		}, nil, []float32{inf, inf, inf, inf, 10, 12}, 5},
		{"changes", func(o *sample.Options) { o.Temperature, o.Stages = 0, []sample.Stage{flip, watch} }, nil,
			[]float32{-1, inf, -3, -4, -5, -6}, 0},
		{"cannot revive", func(o *sample.Options) {
			o.Temperature, o.Allowed, o.Stages = 0, []int32{1, 4}, []sample.Stage{flip, watch}
		}, nil,
			[]float32{inf, inf, inf, inf, -5, inf}, 4},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			o := sample.Neutral()
			o.TopK = 1
			test.change(&o)
			p, err := sample.NewPipeline(o)
			if err != nil {
				t.Fatal(err)
			}
			r, err := p.Sample(logits, &sample.Context{Mask: test.mask})
			if err != nil || r.Token != test.token {
				t.Errorf("token %d, %v; want %d", r.Token, err, test.token)
			}
			for i := range seen {
				if seen[i] != test.seen[i] {
					t.Fatalf("the stage saw %v, want %v", seen, test.seen)
				}
			}
		})
	}
}

func TestOwnStageErrors(t *testing.T) {
	o := sample.Neutral()
	o.Stages = []sample.Stage{nil}
	if _, err := sample.NewPipeline(o); !errors.Is(err, sample.ErrOption) {
		t.Errorf("a nil stage: %v", err)
	}
	fails := errors.New("it fails")
	o.Stages = []sample.Stage{sample.Process("mine", func([]float32, *sample.Context) error { return fails })}
	o.Order = sample.Order{"top_k", "yours"}
	if _, err := sample.NewPipeline(o); !errors.Is(err, sample.ErrOrder) || !strings.Contains(err.Error(), "mine") {
		t.Errorf("an unknown name: %v", err)
	}
	o.Order = nil
	p, err := sample.NewPipeline(o)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Sample([]float32{1, 2}, nil); !errors.Is(err, fails) || !strings.HasPrefix(err.Error(), "mine: ") {
		t.Errorf("an error of the stage: %v", err)
	}
	o.Stages = []sample.Stage{sample.Process("none", func(logits []float32, _ *sample.Context) error {
		logits[0], logits[1] = float32(math.Inf(-1)), float32(math.NaN())
		return nil
	})}
	if p, err = sample.NewPipeline(o); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Sample([]float32{1, 2}, nil); !errors.Is(err, sample.ErrNoCandidate) {
		t.Errorf("no candidate is left: %v", err)
	}
}
