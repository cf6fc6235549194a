package sample

// Penalties lowers the logits of tokens among the last LastN of the history
// (prompt and generated; −1: all, 0: none):
//
//	logit ← logit/Repeat if logit > 0, else logit·Repeat
//	logit ← logit − count·Frequency − Presence
//
// Each distinct token is penalised once, whatever its count; only the
// frequency term grows with the count. A Repeat below 1 or a negative
// Frequency or Presence encourages repetition.
//
// Sources: Keskar et al., "CTRL: A Conditional Transformer Language Model for
// Controllable Generation", 2019, arXiv:1909.05858 (repetition; the case
// of negative logits as in llama.cpp and Transformers); the OpenAI API's
// frequency and presence penalties.
type Penalties struct {
	Repeat    float64 // 1: off
	Frequency float64 // 0: off
	Presence  float64 // 0: off
	LastN     int
}

// Name returns "penalties".
func (Penalties) Name() string { return NamePenalties }

// Apply implements [Stage].
func (s Penalties) Apply(c *Candidates, ctx *Context) error {
	if s.neutral() {
		return nil
	}
	window := lastN(ctx.History, s.LastN)
	if len(window) == 0 {
		return nil
	}
	c.marks = grow(c.marks, c.vocab)
	c.scratch = c.scratch[:0]
	for _, id := range window {
		if uint32(id) < uint32(c.vocab) {
			if c.marks[id] == 0 {
				c.scratch = append(c.scratch, id)
			}
			c.marks[id]++
		}
	}
	return c.editMarked(c.scratch, s.raises(), s.penalise)
}

func (s Penalties) neutral() bool {
	return s.Repeat == 1 && s.Frequency == 0 && s.Presence == 0 || s.LastN == 0
}

// raises reports whether a penalty may raise a logit.
func (s Penalties) raises() bool { return s.Repeat < 1 || s.Frequency < 0 || s.Presence < 0 }

func (s Penalties) penalise(count int32, logit float32) float32 {
	v := float64(logit)
	if v > 0 {
		v /= s.Repeat
	} else {
		v = float64(v * s.Repeat)
	}
	return clampLogit(v - float64(float64(count)*s.Frequency) - s.Presence)
}

// lastN returns the last n tokens of history; all of them if n < 0.
func lastN(history []int32, n int) []int32 {
	if n < 0 || n >= len(history) {
		return history
	}
	return history[len(history)-n:]
}
