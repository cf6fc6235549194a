package validate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
)

// ErrReference reports reference logits that cannot be used.
var ErrReference = errors.New("validate: bad reference")

// LogitReport compares logits with a reference, token by token.
type LogitReport struct {
	Tokens []TokenReport `json:"tokens"`
	// Median and Max are over the tokens' distances.
	Median float64 `json:"median_distance"`
	Max    float64 `json:"max_distance"`
	// ArgMaxAgreement is the share of tokens whose largest logit is the same
	// token's.
	ArgMaxAgreement float64 `json:"argmax_agreement"`
}

// TokenReport compares the logits after one token.
type TokenReport struct {
	Token int32 `json:"token"`
	// Distance is the relative L2 distance ‖got − want‖ / ‖want‖.
	Distance float64 `json:"distance"`
	// Got and Want are the tokens with the largest logit.
	Got  int32 `json:"argmax"`
	Want int32 `json:"argmax_reference"`
}

// CompareLogits compares logits [tokens, vocabulary] with a reference of the
// same shape. A value that is not a number makes its token's distance +Inf.
func CompareLogits(tokens []int32, got, want []float32, vocabulary int) (*LogitReport, error) {
	if n := len(tokens) * vocabulary; len(tokens) == 0 || len(got) != n || len(want) != n {
		return nil, fmt.Errorf("%w: %d tokens × %d logits are %d values; there are %d, and %d in the reference",
			ErrReference, len(tokens), vocabulary, n, len(got), len(want))
	}
	r := &LogitReport{}
	agree := 0
	distances := make([]float64, len(tokens))
	for i, token := range tokens {
		g, w := got[i*vocabulary:(i+1)*vocabulary], want[i*vocabulary:(i+1)*vocabulary]
		t := TokenReport{Token: token, Distance: distance(g, w), Got: argMax(g), Want: argMax(w)}
		if t.Got == t.Want {
			agree++
		}
		distances[i] = t.Distance
		r.Tokens = append(r.Tokens, t)
	}
	slices.Sort(distances)
	r.Max = distances[len(distances)-1]
	r.Median = (distances[(len(distances)-1)/2] + distances[len(distances)/2]) / 2
	r.ArgMaxAgreement = float64(agree) / float64(len(tokens))
	return r, nil
}

func distance(got, want []float32) float64 {
	var diff, norm float64
	for i := range want {
		d := float64(got[i]) - float64(want[i])
		diff += d * d
		norm += float64(want[i]) * float64(want[i])
	}
	switch d := math.Sqrt(diff / norm); {
	case diff == 0:
		return 0
	case math.IsNaN(d):
		return math.Inf(1)
	default:
		return d
	}
}

// argMax returns the index of the first largest value.
func argMax(x []float32) int32 {
	best := 0
	for i, v := range x {
		if v > x[best] {
			best = i
		}
	}
	return int32(best)
}

// ReadLogits reads a file of little-endian float32 values of shape
// [tokens, vocabulary].
func ReadLogits(path string, tokens, vocabulary int) ([]float32, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no file %s", ErrReference, path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReference, err)
	}
	if want := int64(tokens) * int64(vocabulary) * 4; info.Size() != want {
		return nil, fmt.Errorf("%w: %s has %d bytes, but %d tokens × %d logits of 4 bytes are %d", ErrReference, path, info.Size(), tokens, vocabulary, want)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReference, err)
	}
	logits := make([]float32, len(data)/4)
	for i := range logits {
		logits[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return logits, nil
}
