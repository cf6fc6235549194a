package generate_test

import (
	"context"
	"testing"

	"trit/internal/generate"
)

// BenchmarkGenerate measures a token of a sampled text that can hardly be
// guessed, of a repetitive one, and of four choices together.
func BenchmarkGenerate(b *testing.B) {
	d := openDemo(b)
	flat := seeded(400, 4)
	flat.IgnoreEnd = true
	flat.Sampling.Temperature = 1.5
	same := greedy(400)
	same.IgnoreEnd = true
	for i := range 400 {
		same.Sampling.Forced = append(same.Sampling.Forced, int32(100+i%9))
	}
	four := flat
	four.Choices = 4
	for _, test := range []struct {
		name string
		o    generate.Options
	}{{"flat", flat}, {"repetitive", same}, {"four", four}} {
		for _, lookup := range []bool{false, true} {
			name := test.name
			if lookup {
				name += "/lookup"
			}
			b.Run(name, func(b *testing.B) {
				o := test.o
				o.Speculation.Lookup = lookup
				b.ReportAllocs()
				n := 0
				for n < b.N {
					s := d.session()
					g, err := generate.New(s, d.tokenizer, o)
					if err != nil {
						b.Fatal(err)
					}
					for range g.Tokens(context.Background(), d.encode(story)) {
						if n++; n >= b.N {
							break
						}
					}
					s.Close()
				}
			})
		}
	}
}
