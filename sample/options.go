package sample

import (
	"fmt"
	"maps"
	"math"
	"slices"
)

// Options are the parameters of a pipeline. Start from [Default] or [Neutral]:
// the zero value is not valid, because the value that turns an option off is
// not always zero.
type Options struct {
	// Temperature divides the logits. 0 is greedy: after penalties, bias and
	// masks the largest logit wins, without any randomness, and the truncating
	// stages are skipped. 1 is neutral.
	Temperature float64
	// DynTempRange and DynTempExponent make the temperature depend on the
	// entropy; see [Temperature]. A range of 0 is neutral.
	DynTempRange    float64
	DynTempExponent float64

	TopK           int     // see [TopK]; 0 (or less) is neutral
	TopP           float64 // see [TopP]; 1 is neutral
	MinP           float64 // see [MinP]; 0 is neutral
	TypicalP       float64 // see [TypicalP]; 1 is neutral
	TopNSigma      float64 // see [TopNSigma]; 0 (or less) is neutral
	XTCThreshold   float64 // see [XTC]; above 0.5 is neutral
	XTCProbability float64 // see [XTC]; 0 is neutral
	// MinKeep is the number of candidates that top-k, top-p, min-p, typical,
	// top-n-sigma and XTC leave at least. 0 means 1.
	MinKeep int

	// Mirostat is 0 (off), 1 or 2; see [Mirostat].
	Mirostat    int
	MirostatTau float64 // target surprise in bits
	MirostatEta float64 // learning rate

	// RepeatPenalty (neutral: 1), FrequencyPenalty and PresencePenalty
	// (neutral: 0) look at the last PenaltyLastN tokens (0: off, −1: all); see
	// [Penalties].
	RepeatPenalty    float64
	FrequencyPenalty float64
	PresencePenalty  float64
	PenaltyLastN     int

	DRY DRYOptions // neutral with Multiplier 0

	LogitBias map[int32]float32 // see [LogitBias]; −Inf bans, otherwise finite
	BadWords  [][]int32         // see [BadWords]
	Allowed   []int32           // see [Allowed]; nil is neutral
	Forced    []int32           // see [Forced]

	// Stages are samplers of one's own. They are applied before those of Order,
	// except that Order may name them, each by a name of its own. A [Stateful] one
	// is cloned, so the options can be used for several sequences.
	Stages []Stage

	// Order of the stages; nil is [DefaultOrder], or [MirostatOrder] when
	// Mirostat is on. An explicit order must list "mirostat" if and only if
	// Mirostat is on.
	Order Order

	// Seed of all randomness. nil picks one at random; [Pipeline.Seed] tells.
	Seed *uint64

	// LogProb asks for Result.LogProb, TopLogProbs for that many entries of
	// Result.Top (0 to 1000). Either costs a pass over the vocabulary.
	LogProb     bool
	TopLogProbs int
	// TopCandidates asks for that many entries of Result.Candidates (0 to 1000): tokens
	// that the stages leave, with their probabilities there.
	TopCandidates int
}

// Default returns llama.cpp's default options: temperature 0.8, top-k 40,
// top-p 0.95, min-p 0.05, everything else neutral.
func Default() Options {
	o := Neutral()
	o.Temperature = 0.8
	o.TopK = 40
	o.TopP = 0.95
	o.MinP = 0.05
	return o
}

// Neutral returns options with every stage off, which sample from the model's
// own distribution. Parameters without effect while their stage is off have
// llama.cpp's defaults, except that DRY looks at the whole history.
func Neutral() Options {
	var o Options
	for i := range params {
		params[i].put(&o, params[i].neutral)
	}
	return o
}

// maxTopLogProbs bounds TopLogProbs and TopCandidates.
const maxTopLogProbs = 1000

// Validate returns an [OptionError] for the first option outside its range, or
// an error that wraps [ErrOrder].
func (o *Options) Validate() error {
	for i := range params {
		if p := &params[i]; !p.dry || o.DRY.Multiplier > 0 {
			if err := p.check(p.Get(o)); err != nil {
				return err
			}
		}
	}
	if o.TopLogProbs < 0 || o.TopLogProbs > maxTopLogProbs {
		return &OptionError{"top_logprobs", o.TopLogProbs, fmt.Sprintf("0 to %d", maxTopLogProbs)}
	}
	if o.TopCandidates < 0 || o.TopCandidates > maxTopLogProbs {
		return &OptionError{"top_candidates", o.TopCandidates, fmt.Sprintf("0 to %d", maxTopLogProbs)}
	}
	for _, id := range slices.Sorted(maps.Keys(o.LogitBias)) {
		if id < 0 {
			return &OptionError{"logit_bias", id, "token ids, which are not negative"}
		}
		if b := o.LogitBias[id]; !(b <= huge && (b >= -huge || math.IsInf(float64(b), -1))) {
			return &OptionError{fmt.Sprintf("logit_bias[%d]", id), b, "-1e+06 to 1e+06 (or -Inf, which bans the token)"}
		}
	}
	if o.Allowed != nil && len(o.Allowed) == 0 {
		return &OptionError{"allowed", o.Allowed, "at least one token (nil allows all)"}
	}
	for _, list := range []struct {
		name string
		ids  []int32
	}{
		{"allowed", o.Allowed},
		{"forced", o.Forced},
		{"bad_words", slices.Concat(o.BadWords...)},
		{"dry_sequence_breakers", slices.Concat(o.DRY.Breakers...)},
	} {
		if i := slices.IndexFunc(list.ids, func(id int32) bool { return id < 0 }); i >= 0 {
			return &OptionError{list.name, list.ids[i], "token ids, which are not negative"}
		}
	}
	for i, stage := range o.Stages {
		if stage == nil {
			return &OptionError{"stages", nil, fmt.Sprintf("a stage (element %d is nil)", i)}
		}
	}
	if o.Order == nil {
		return nil
	}
	if err := o.Order.validate(o.Stages...); err != nil {
		return err
	}
	if listed := slices.Contains(o.Order, NameMirostat); listed != (o.Mirostat != 0) {
		if listed {
			return fmt.Errorf("%w: order %q lists %s, but option mirostat is 0; set it to 1 or 2", ErrOrder, o.Order, NameMirostat)
		}
		return fmt.Errorf("%w: option mirostat is %d, but order %q does not list it; end the order with %q", ErrOrder, o.Mirostat, o.Order, NameMirostat)
	}
	return nil
}

// StageOrder returns the order of the stages in effect: Order, or what stands for nil.
func (o *Options) StageOrder() Order {
	switch {
	case o.Order != nil:
		return o.Order
	case o.Mirostat != 0:
		return MirostatOrder()
	}
	return DefaultOrder()
}

// stages returns the stages that have an effect, in order.
func (o *Options) stages(seed uint64) []Stage {
	var list []Stage
	if len(o.LogitBias) > 0 {
		list = append(list, NewLogitBias(o.LogitBias))
	}
	if o.Allowed != nil {
		list = append(list, NewAllowed(o.Allowed))
	}
	if len(o.BadWords) > 0 {
		list = append(list, NewBadWords(o.BadWords))
	}
	if len(o.Forced) > 0 {
		list = append(list, NewForced(o.Forced))
	}
	greedy := o.Temperature == 0
	keep := max(o.MinKeep, 1)
	order := o.StageOrder()
	for _, s := range o.Stages {
		if !slices.Contains(order, s.Name()) {
			list = append(list, cloned(s))
		}
	}
	for _, name := range order {
		for _, s := range o.Stages {
			if s.Name() == name {
				list = append(list, cloned(s))
			}
		}
		switch name {
		case NamePenalties:
			if s := (Penalties{o.RepeatPenalty, o.FrequencyPenalty, o.PresencePenalty, o.PenaltyLastN}); !s.neutral() {
				list = append(list, s)
			}
			continue
		case NameDRY:
			if o.DRY.Multiplier != 0 && o.DRY.PenaltyLastN != 0 {
				list = append(list, NewDRY(o.DRY))
			}
			continue
		}
		if greedy {
			continue
		}
		switch name {
		case NameTopNSigma:
			if o.TopNSigma > 0 {
				list = append(list, TopNSigma{o.TopNSigma, keep})
			}
		case NameTopK:
			if o.TopK > 0 {
				list = append(list, TopK{o.TopK, keep})
			}
		case NameTypicalP:
			if o.TypicalP < 1 {
				list = append(list, TypicalP{o.TypicalP, keep})
			}
		case NameTopP:
			if o.TopP < 1 {
				list = append(list, TopP{o.TopP, keep})
			}
		case NameMinP:
			if o.MinP > 0 {
				list = append(list, MinP{o.MinP, keep})
			}
		case NameXTC:
			if o.XTCProbability > 0 && o.XTCThreshold <= 0.5 {
				list = append(list, NewXTC(o.XTCProbability, o.XTCThreshold, keep, seed))
			}
		case NameTemperature:
			if o.Temperature != 1 || o.DynTempRange != 0 {
				list = append(list, Temperature{o.Temperature, o.DynTempRange, o.DynTempExponent})
			}
		case NameMirostat:
			list = append(list, NewMirostat(o.Mirostat, o.MirostatTau, o.MirostatEta))
		}
	}
	if greedy {
		list = append(list, Greedy{})
	}
	return list
}

// cloned returns a stage for one more pipeline.
func cloned(s Stage) Stage {
	if s, ok := s.(Stateful); ok {
		return s.Clone()
	}
	return s
}
