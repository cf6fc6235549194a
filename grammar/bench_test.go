package grammar

import (
	"slices"
	"testing"
	"time"
)

// personText is a text under personSchema.
const personText = `{"name": "Jürgen Example", "email": "j.example@example.org", "age": 42, "tags": ["regular", "日本語", "said \"hi\""], ` +
	`"address": {"street": "12 Long Winding Road", "zip": "12345"}, "kind": "customer", "score": 0.875, "active": true}`

// BenchmarkMask reports the median time of a mask along personText: first, with nothing
// remembered, and cached, when the positions (not the text) were met before.
func BenchmarkMask(b *testing.B) {
	for _, bc := range []struct {
		name string
		load func(testing.TB) *Vocabulary
	}{{"128256", llamaBPE}, {"32000", llamaSPM}} {
		v := bc.load(b)
		g := schemaGrammar(b, personSchema, SchemaOptions{})
		mask := make([]uint64, v.MaskWords())
		// greedy cuts the text into the longest tokens.
		var ids []int32
		for rest := personText; rest != ""; {
			best, length := int32(-1), 0
			for id := range int32(v.Len()) {
				if t := v.bytes(id); len(t) > length && len(t) <= len(rest) && rest[:len(t)] == string(t) {
					best, length = id, len(t)
				}
			}
			ids = append(ids, best)
			rest = rest[length:]
		}
		run := func(m *Matcher) (masks, accepts []time.Duration) {
			s := m.Start()
			for _, id := range ids {
				start := time.Now()
				if err := s.Mask(mask); err != nil {
					b.Fatal(err)
				}
				middle := time.Now()
				if err := s.Accept(id); err != nil {
					b.Fatal(err)
				}
				masks, accepts = append(masks, middle.Sub(start)), append(accepts, time.Since(middle))
			}
			return masks, accepts
		}
		report := func(b *testing.B, masks []time.Duration) {
			slices.Sort(masks)
			b.ReportMetric(float64(masks[len(masks)/2].Nanoseconds())/1e3, "median-µs")
			b.ReportMetric(float64(masks[len(masks)*95/100].Nanoseconds())/1e3, "p95-µs")
			b.ReportMetric(float64(masks[len(masks)-1].Nanoseconds())/1e3, "max-µs")
			b.ReportMetric(0, "ns/op")
		}
		b.Run(bc.name+"/first", func(b *testing.B) {
			var all []time.Duration
			for b.Loop() {
				masks, _ := run(matcher(b, g, v))
				all = append(all, masks...)
			}
			report(b, all)
		})
		b.Run(bc.name+"/cached", func(b *testing.B) {
			m := matcher(b, g, v)
			run(m)
			var all []time.Duration
			for b.Loop() {
				masks, _ := run(m)
				all = append(all, masks...)
			}
			report(b, all)
		})
		b.Run(bc.name+"/within", func(b *testing.B) {
			m := matcher(b, g, v)
			var all []time.Duration
			for b.Loop() {
				s := m.Start()
				for i, id := range ids {
					start := time.Now()
					if _, err := s.MaskWithin(mask, len(ids)-i+20); err != nil {
						b.Fatal(err)
					}
					all = append(all, time.Since(start))
					if err := s.Accept(id); err != nil {
						b.Fatal(err)
					}
				}
			}
			report(b, all)
		})
	}
}

func BenchmarkNewVocabulary(b *testing.B) {
	v := llamaBPE(b)
	ids := slices.Clone(v.byID)
	for b.Loop() {
		if _, err := v.Restrict(ids); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFromJSONSchema(b *testing.B) {
	for b.Loop() {
		schemaGrammar(b, personSchema, SchemaOptions{})
	}
}
