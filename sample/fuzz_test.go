package sample

import (
	"encoding/binary"
	"errors"
	"math"
	"testing"
)

func FuzzParseOrder(f *testing.F) {
	f.Add("top_k;top_p;temperature")
	f.Add(" Typ-P, temp ;;mirostat")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		o, err := ParseOrder(s)
		if err != nil {
			if !errors.Is(err, ErrOrder) {
				t.Fatal(err)
			}
			return
		}
		again, err := ParseOrder(o.String())
		if err != nil || len(o) > 0 && again.String() != o.String() {
			t.Fatalf("%q became %v, %v", s, again, err)
		}
	})
}

// FuzzSample feeds raw bits as logits and options: an error or a token, never
// a panic.
func FuzzSample(f *testing.F) {
	f.Add([]byte{0, 0, 128, 63, 0, 0, 0, 64}, 0.8, 0.9, 0.1, 0.9, 1.0, 0.5, 2, uint8(0))
	f.Add([]byte{0, 0, 192, 127, 0, 0, 0, 64}, 1.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0, uint8(1))
	f.Add([]byte{255, 255, 127, 255, 255, 255, 127, 127, 1, 0, 0, 0}, 100.0, 0.5, 1e-300, 0.2, 3.0, 1.0, 1, uint8(2))
	f.Add([]byte{0, 0, 128, 255, 0, 0, 0, 0}, 1e-12, 0.0, 1.0, 0.0, 1e5, 0.5, -3, uint8(7))
	f.Fuzz(func(t *testing.T, raw []byte, temperature, topP, minP, typical, sigma, xtc float64, topK int, mode uint8) {
		logits := make([]float32, min(len(raw)/4, 4096))
		for i := range logits {
			logits[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		}
		o := Neutral()
		o.Temperature, o.TopP, o.MinP, o.TypicalP, o.TopNSigma, o.TopK = temperature, topP, minP, typical, sigma, topK
		o.XTCProbability, o.DynTempRange = xtc, sigma
		o.Mirostat = int(mode % 3)
		o.TopLogProbs = int(mode / 3)
		o.RepeatPenalty, o.DRY.Multiplier = 1.5, 1
		o.Seed = new(uint64(mode))
		p, err := NewPipeline(o)
		if err != nil {
			return
		}
		history := make([]int32, 0, len(raw))
		for _, b := range raw {
			history = append(history, int32(b%16)-1)
		}
		for range 2 {
			r, err := p.Sample(logits, &Context{History: history})
			if err != nil {
				if !errors.Is(err, ErrLogits) && !errors.Is(err, ErrNoCandidate) {
					t.Fatal(err)
				}
				return
			}
			if uint32(r.Token) >= uint32(len(logits)) || !(r.Prob > 0 && r.Prob <= 1) {
				t.Fatalf("%+v", r)
			}
			p.Accept(r.Token)
		}
	})
}
