package layers

import (
	"encoding/binary"
	"fmt"
	"hash/crc64"
	"math"
	"strconv"
)

// Record describes the values of one stage for one token. The statistics
// are of the finite values; where there are none they are NaN, in JSON null.
type Record struct {
	Stage string   `json:"stage"` // as model.StageName has it: "3.attention"
	Token int      `json:"token"` // position
	Shape []int    `json:"shape"` // of the row: [width]
	Min   Number   `json:"min"`
	Max   Number   `json:"max"`
	Mean  Number   `json:"mean"`
	Std   Number   `json:"std"` // of the population
	RMS   Number   `json:"rms"`
	Zeros int      `json:"zeros"`
	NaN   int      `json:"nan"`
	Inf   int      `json:"inf"`
	CRC   Checksum `json:"checksum"`
	First Values   `json:"first"` // the first values
	// Spread are values at even distances, from the first to the last: of n
	// values and k samples, sample i is value i·(n−1)/(k−1).
	Spread Values `json:"spread"`
}

// Number is a float64 whose NaN is null in JSON.
type Number float64

// MarshalJSON implements json.Marshaler.
func (n Number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) {
		return []byte("null"), nil
	}
	if math.IsInf(float64(n), 0) {
		return []byte(strconv.Quote(strconv.FormatFloat(float64(n), 'g', -1, 64))), nil
	}
	return strconv.AppendFloat(nil, float64(n), 'g', -1, 64), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *Number) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		*n = Number(math.NaN())
		return nil
	}
	x, err := parseNumber(data, 64)
	*n = Number(x)
	return err
}

// Values are float32 values that come back from JSON as the same bits, NaN
// payloads apart. What JSON has no number for is "NaN", "+Inf" or "-Inf".
type Values []float32

// MarshalJSON implements json.Marshaler.
func (v Values) MarshalJSON() ([]byte, error) {
	out := make([]byte, 0, 12*len(v)+2)
	out = append(out, '[')
	for i, x := range v {
		if i > 0 {
			out = append(out, ',')
		}
		switch f := float64(x); {
		case math.IsNaN(f) || math.IsInf(f, 0):
			out = strconv.AppendQuote(out, strconv.FormatFloat(f, 'g', -1, 32))
		case f == 0 && math.Signbit(f):
			out = append(out, "-0.0"...) // many readers take -0 for an integer
		default:
			out = strconv.AppendFloat(out, f, 'g', -1, 32)
		}
	}
	return append(out, ']'), nil
}

// UnmarshalJSON implements json.Unmarshaler. The decoder has checked that data
// is valid JSON.
func (v *Values) UnmarshalJSON(data []byte) error {
	*v = (*v)[:0]
	if len(data) < 2 || data[0] != '[' {
		return fmt.Errorf("%w: values are %.20q, want an array", ErrFile, data)
	}
	for i := 1; i < len(data); {
		end := i
		for end < len(data) && data[end] != ',' && data[end] != ']' {
			end++
		}
		field := trimSpace(data[i:end])
		if len(field) > 0 {
			x, err := parseNumber(field, 32)
			if err != nil {
				return err
			}
			*v = append(*v, float32(x))
		}
		i = end + 1
	}
	return nil
}

func trimSpace(b []byte) []byte {
	for len(b) > 0 && b[0] <= ' ' {
		b = b[1:]
	}
	for len(b) > 0 && b[len(b)-1] <= ' ' {
		b = b[:len(b)-1]
	}
	return b
}

// parseNumber reads a JSON number, or the name of one in quotes.
func parseNumber(data []byte, bits int) (float64, error) {
	s := string(data)
	if len(s) >= 2 && s[0] == '"' {
		s = s[1 : len(s)-1]
	}
	x, err := strconv.ParseFloat(s, bits)
	if err != nil {
		return 0, fmt.Errorf("%w: %.20q is no number", ErrFile, data)
	}
	return x, nil
}

// Checksum is a hash of a tensor's bits: CRC-64 with the ECMA polynomial over the
// little-endian float32 values. In JSON it has 16 hexadecimal digits.
type Checksum uint64

// MarshalText implements encoding.TextMarshaler.
func (c Checksum) MarshalText() ([]byte, error) { return fmt.Appendf(nil, "%016x", uint64(c)), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *Checksum) UnmarshalText(text []byte) error {
	x, err := strconv.ParseUint(string(text), 16, 64)
	if err != nil || len(text) != 16 {
		return fmt.Errorf("%w: checksum %.20q, want 16 hexadecimal digits", ErrFile, text)
	}
	*c = Checksum(x)
	return nil
}

var layerCRC = crc64.MakeTable(crc64.ECMA)

// describe fills the record in. It reuses the record's memory.
func (r *Record) describe(stage string, token int, x []float32, samples int) {
	*r = Record{Stage: stage, Token: token, Shape: append(r.Shape[:0], len(x)), First: r.First[:0], Spread: r.Spread[:0]}
	lo, hi := math.Inf(1), math.Inf(-1)
	var sum, squares float64
	var crc uint64
	var buf [256 * 4]byte
	for i := 0; i < len(x); i += 256 {
		b := buf[:0]
		for _, v := range x[i:min(i+256, len(x))] {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
			f := float64(v)
			switch {
			case math.IsNaN(f):
				r.NaN++
				continue
			case math.IsInf(f, 0):
				r.Inf++
				continue
			case v == 0:
				r.Zeros++
			}
			lo, hi = min(lo, f), max(hi, f)
			sum += f
			squares += float64(f * f)
		}
		crc = crc64.Update(crc, layerCRC, b)
	}
	r.CRC = Checksum(crc)
	r.Min, r.Max, r.Mean, r.Std, r.RMS = Number(math.NaN()), Number(math.NaN()), Number(math.NaN()), Number(math.NaN()), Number(math.NaN())
	if n := float64(len(x) - r.NaN - r.Inf); n > 0 {
		mean := sum / n
		var spread float64
		for _, v := range x {
			if f := float64(v); !math.IsNaN(f) && !math.IsInf(f, 0) {
				spread += float64((f - mean) * (f - mean))
			}
		}
		r.Min, r.Max, r.Mean, r.Std, r.RMS = Number(lo), Number(hi), Number(mean), Number(math.Sqrt(spread/n)), Number(math.Sqrt(squares/n))
	}
	r.First = append(r.First, x[:min(samples, len(x))]...)
	k := min(samples, len(x))
	for i := range k {
		at := 0
		if k > 1 {
			at = int(int64(i) * int64(len(x)-1) / int64(k-1))
		}
		r.Spread = append(r.Spread, x[at])
	}
}

// finite reports whether the record has neither NaN nor infinities.
func (r *Record) finite() bool { return r.NaN == 0 && r.Inf == 0 }
