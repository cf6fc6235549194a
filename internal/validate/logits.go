package validate

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
)

// ErrReference reports reference logits or vectors that cannot be used.
var ErrReference = errors.New("validate: bad reference")

// Distance is a relative L2 distance ‖got − want‖ / ‖want‖. It is +Inf, in JSON null, where
// a value is not a number, or where all that was wanted is zero.
type Distance float64

// MarshalJSON implements json.Marshaler.
func (d Distance) MarshalJSON() ([]byte, error) {
	if math.IsInf(float64(d), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(d))
}

// LogitReport compares logits with a reference, token by token.
type LogitReport struct {
	Tokens []TokenReport `json:"tokens"`
	// Median and Max are over the tokens' distances.
	Median Distance `json:"median_distance"`
	Max    Distance `json:"max_distance"`
	// ArgMaxAgreement is the share of tokens whose largest logit is the same
	// token's.
	ArgMaxAgreement float64 `json:"argmax_agreement"`
}

// TokenReport compares the logits after one token.
type TokenReport struct {
	Token    int32    `json:"token"`
	Distance Distance `json:"distance"`
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
		t := TokenReport{Token: token, Distance: Distance(distance(g, w)), Got: argMax(g), Want: argMax(w)}
		if t.Got == t.Want {
			agree++
		}
		distances[i] = float64(t.Distance)
		r.Tokens = append(r.Tokens, t)
	}
	median, largest := medianAndMax(distances)
	r.Median, r.Max = Distance(median), Distance(largest)
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

// A VectorReport compares vectors of texts with a reference, text by text.
type VectorReport struct {
	Vectors []VectorDistance `json:"vectors"`
	// Median and Max are over the texts' distances.
	Median Distance `json:"median_distance"`
	Max    Distance `json:"max_distance"`
}

// VectorDistance compares the vectors of one text.
type VectorDistance struct {
	Tokens   int      `json:"tokens"` // of the text
	Distance Distance `json:"distance"`
}

// CompareVectors compares the vectors of texts of so many tokens each with a reference
// of shape [texts, width]. A value that is not a number makes its text's distance +Inf.
func CompareVectors(tokens []int, got [][]float32, want []float32) (*VectorReport, error) {
	if len(tokens) == 0 || len(got) != len(tokens) || len(want) != len(got)*len(got[0]) {
		return nil, fmt.Errorf("%w: %d texts, %d vectors, and %d values in the reference", ErrReference, len(tokens), len(got), len(want))
	}
	r := &VectorReport{}
	distances := make([]float64, len(got))
	for i, v := range got {
		distances[i] = distance(v, want[i*len(v):(i+1)*len(v)])
		r.Vectors = append(r.Vectors, VectorDistance{Tokens: tokens[i], Distance: Distance(distances[i])})
	}
	median, largest := medianAndMax(distances)
	r.Median, r.Max = Distance(median), Distance(largest)
	return r, nil
}

// medianAndMax sorts the distances.
func medianAndMax(distances []float64) (median, largest float64) {
	slices.Sort(distances)
	n := len(distances)
	return (distances[(n-1)/2] + distances[n/2]) / 2, distances[n-1]
}

// ReadRows reads a file of little-endian float32 values: rows of so many each.
func ReadRows(path string, rows, width int) ([]float32, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no file %s", ErrReference, path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReference, err)
	}
	if want := int64(rows) * int64(width) * 4; info.Size() != want {
		return nil, fmt.Errorf("%w: %s has %d bytes, but %d rows of %d values of 4 bytes are %d", ErrReference, path, info.Size(), rows, width, want)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrReference, err)
	}
	values := make([]float32, len(data)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
	}
	return values, nil
}
