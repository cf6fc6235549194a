package sample

import (
	"errors"
	"math"
	"strings"
	"testing"
)

func TestParseOrder(t *testing.T) {
	for in, want := range map[string]string{
		"":                            DefaultOrder().String(),
		"top_k;top_p;temperature":     "top_k;top_p;temperature",
		" Top-K , typ-p;temp ;;":      "top_k;typical_p;temperature",
		"penalties;dry;xtc;min_p":     "penalties;dry;xtc;min_p",
		"temperature;mirostat":        "temperature;mirostat",
		"top_n_sigma;nucleus;typical": "top_n_sigma;top_p;typical_p",
	} {
		got, err := ParseOrder(in)
		if err != nil || got.String() != want {
			t.Errorf("ParseOrder(%q) = %v, %v, want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"top_q", "top_k;top_k", "top_k;top-k", "mirostat;top_k"} {
		if _, err := ParseOrder(in); !errors.Is(err, ErrOrder) {
			t.Errorf("ParseOrder(%q): error %v", in, err)
		}
	}
}

func TestValidate(t *testing.T) {
	nan := math.NaN()
	for _, tt := range []struct {
		option string // named in the error; "" for an order
		change func(o *Options)
	}{
		{"temperature", func(o *Options) { o.Temperature = -1 }},
		{"temperature", func(o *Options) { o.Temperature = nan }},
		{"dynatemp_range", func(o *Options) { o.DynTempRange = -1 }},
		{"dynatemp_exponent", func(o *Options) { o.DynTempExponent = nan }},
		{"top_p", func(o *Options) { o.TopP = 1.5 }},
		{"min_p", func(o *Options) { o.MinP = -0.1 }},
		{"typical_p", func(o *Options) { o.TypicalP = 2 }},
		{"top_n_sigma", func(o *Options) { o.TopNSigma = math.Inf(1) }},
		{"xtc_threshold", func(o *Options) { o.XTCThreshold = 1.1 }},
		{"xtc_probability", func(o *Options) { o.XTCProbability = 1.1 }},
		{"min_keep", func(o *Options) { o.MinKeep = -1 }},
		{"mirostat", func(o *Options) { o.Mirostat = 3 }},
		{"mirostat_tau", func(o *Options) { o.MirostatTau = -1 }},
		{"mirostat_eta", func(o *Options) { o.MirostatEta = nan }},
		{"repeat_penalty", func(o *Options) { o.RepeatPenalty = 0 }},
		{"frequency_penalty", func(o *Options) { o.FrequencyPenalty = math.Inf(-1) }},
		{"presence_penalty", func(o *Options) { o.PresencePenalty = nan }},
		{"repeat_last_n", func(o *Options) { o.PenaltyLastN = -2 }},
		{"dry_multiplier", func(o *Options) { o.DRY.Multiplier = -1 }},
		{"dry_base", func(o *Options) { o.DRY.Multiplier, o.DRY.Base = 1, 0.5 }},
		{"dry_allowed_length", func(o *Options) { o.DRY.Multiplier, o.DRY.AllowedLength = 1, 0 }},
		{"dry_penalty_last_n", func(o *Options) { o.DRY.PenaltyLastN = -2 }},
		{"dry_sequence_breakers", func(o *Options) { o.DRY.Breakers = [][]int32{{-1}} }},
		{"top_logprobs", func(o *Options) { o.TopLogProbs = 1001 }},
		{"logit_bias", func(o *Options) { o.LogitBias = map[int32]float32{-1: 1} }},
		{"logit_bias[3]", func(o *Options) { o.LogitBias = map[int32]float32{3: float32(math.Inf(1))} }},
		{"allowed", func(o *Options) { o.Allowed = []int32{2, -2} }},
		{"allowed", func(o *Options) { o.Allowed = []int32{} }},
		{"forced", func(o *Options) { o.Forced = []int32{-2} }},
		{"bad_words", func(o *Options) { o.BadWords = [][]int32{{1, -2}} }},
		{"", func(o *Options) { o.Order = Order{"nonsense"} }},
		{"", func(o *Options) { o.Order = Order{NameTopK, NameMirostat} }},
		{"", func(o *Options) { o.Mirostat, o.Order = 2, Order{NameTopK} }},
	} {
		o := Default()
		tt.change(&o)
		_, err := NewPipeline(o)
		if tt.option == "" {
			if !errors.Is(err, ErrOrder) {
				t.Errorf("order: error %v", err)
			}
			continue
		}
		var oe *OptionError
		if !errors.As(err, &oe) || oe.Option != tt.option || !errors.Is(err, ErrOption) || !strings.Contains(err.Error(), tt.option) {
			t.Errorf("%s: error %v", tt.option, err)
		}
	}
	if _, err := NewPipeline(Options{}); !errors.Is(err, ErrOption) {
		t.Errorf("the zero Options: %v", err)
	}
	for _, o := range []Options{Default(), Neutral()} {
		if err := o.Validate(); err != nil {
			t.Error(err)
		}
	}
}
