package generate

import (
	"fmt"

	"trit/gguf"
	"trit/sample"
)

// Recommended returns the sampling options that a model's file recommends, or those of package sample where
// it says nothing. The error names what cannot be used.
func Recommended(meta *gguf.Metadata) (sample.Options, error) {
	o, found := sample.Neutral(), false // what the recommendation does not name is off, as where it comes from
	for _, p := range sample.Params() {
		if !p.Recommended || !meta.Has(p.Key()) {
			continue
		}
		found = true
		value, err := recommendation(meta, &p)
		if err != nil {
			return o, err
		}
		if err := p.Set(&o, value); err != nil {
			return o, fmt.Errorf("the file's recommended sampling: %w", err)
		}
	}
	if !found {
		return sample.Default(), nil
	}
	return o, nil
}

func recommendation(meta *gguf.Metadata, p *sample.Param) (float64, error) {
	if p.Whole() {
		n, err := meta.Uint32(p.Key())
		return float64(n), err
	}
	return meta.Float64(p.Key())
}
