package sample

import (
	"fmt"
	"math"
)

// A TokenLogProb is a token with the natural logarithm of its probability.
type TokenLogProb struct {
	ID      int32
	LogProb float64
}

// A TokenProb is a token with its probability.
type TokenProb struct {
	ID   int32
	Prob float64
}

// LogSumExp returns ln Σ exp(logit) over all logits, which may be −Inf but not
// all of them. Its error is below len(logits)·2⁻⁴⁴ (7e-9 for a vocabulary of
// 128,256): the sum is the fixed-point one of the package documentation and has
// the same bits on every CPU. Errors wrap [ErrLogits].
func LogSumExp(logits []float32) (float64, error) {
	if len(logits) == 0 || len(logits) > maxVocab {
		return 0, fmt.Errorf("%w: %d of them, want 1 to %d", ErrLogits, len(logits), maxVocab)
	}
	top := float32(math.Inf(-1))
	for i, v := range logits {
		if !(v <= math.MaxFloat32) {
			return 0, fmt.Errorf("%w: token %d has %v", ErrLogits, i, v)
		}
		if v > top {
			top = v
		}
	}
	if top < -math.MaxFloat32 {
		return 0, fmt.Errorf("%w: every logit is -Inf", ErrLogits)
	}
	return logSumExp(logits, top), nil
}

// logSumExp is LogSumExp of checked logits with a known, finite maximum.
func logSumExp(logits []float32, top float32) float64 {
	z, _ := sumWeights(logits, top, 1)
	return float64(top) + log64(float64(z)/weightOne)
}

// LogProb returns the log-softmax of token id under logits. Errors wrap
// [ErrLogits] or [ErrToken].
func LogProb(logits []float32, id int32) (float64, error) {
	lse, err := LogSumExp(logits)
	if err != nil {
		return 0, err
	}
	if uint32(id) >= uint32(len(logits)) {
		return 0, fmt.Errorf("%w: id %d, vocabulary %d", ErrToken, id, len(logits))
	}
	return float64(logits[id]) - lse, nil
}

// TopLogProbs appends the n most likely tokens under logits to dst, the most
// likely first (ties: lowest id). Errors wrap [ErrLogits].
func TopLogProbs(dst []TokenLogProb, logits []float32, n int) ([]TokenLogProb, error) {
	lse, err := LogSumExp(logits)
	if err != nil {
		return dst, err
	}
	return appendTop(dst, topKeys(nil, logits, min(max(n, 0), len(logits))), lse), nil
}

func appendTop(dst []TokenLogProb, keys []uint64, lse float64) []TokenLogProb {
	for _, k := range keys {
		dst = append(dst, TokenLogProb{keyID(k), float64(keyLogit(k)) - lse})
	}
	return dst
}
