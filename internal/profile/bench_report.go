package profile

import (
	"fmt"
	"strings"
)

// Setup says what was measured, how it ran, and what the machine is able to.
type Setup struct {
	Model        string `json:"model"`
	ModelName    string `json:"model_name,omitempty"` // general.name
	Architecture string `json:"architecture"`

	Threads     int    `json:"threads"`
	CPU         string `json:"cpu_level"`
	Kernel      string `json:"kernel"`
	Layout      string `json:"layout"` // of ternary weights in memory, "t2+t5" if mixed
	KVType      string `json:"kv_type"`
	Activations string `json:"activations"`
	HeadType    string `json:"head_type"` // in the file
	HeadMode    string `json:"head_mode"` // how the engine computes logits

	TernaryWeights int64 `json:"ternary_weights"`

	// The limits of the machine are medians.
	ReadBandwidth      float64    `json:"read_bandwidth_bytes_per_second"`
	ReadBandwidthRange [2]float64 `json:"read_bandwidth_bytes_per_second_range"`
	Int8MACs           float64    `json:"int8_macs_per_second"`
	Int8MACsRange      [2]float64 `json:"int8_macs_per_second_range"`
	TileMACs           float64    `json:"tile_macs_per_second"` // 0 without tiles
	TileMACsRange      [2]float64 `json:"tile_macs_per_second_range"`
}

// highest returns the highest limits that were measured.
func (s *Setup) highest() Limits {
	medians := Limits{s.ReadBandwidth, s.Int8MACs, s.TileMACs}
	return medians.larger(Limits{s.ReadBandwidthRange[1], s.Int8MACsRange[1], s.TileMACsRange[1]})
}

// limitsText says what the machine is able to, in one line or two.
func (s *Setup) limitsText() []string {
	lines := []string{fmt.Sprintf("reading %.1f GB/s (%.1f–%.1f), int8 %.0f GMAC/s (%.0f–%.0f)",
		s.ReadBandwidth/1e9, s.ReadBandwidthRange[0]/1e9, s.ReadBandwidthRange[1]/1e9,
		s.Int8MACs/1e9, s.Int8MACsRange[0]/1e9, s.Int8MACsRange[1]/1e9)}
	if s.TileMACs > 0 {
		lines = append(lines, fmt.Sprintf("int8 in tiles %.0f GMAC/s (%.0f–%.0f)", s.TileMACs/1e9, s.TileMACsRange[0]/1e9, s.TileMACsRange[1]/1e9))
	}
	return lines
}

// BenchReport is the result of a benchmark. Speeds and fractions are medians of
// the repetitions; the ranges are their least and largest.
type BenchReport struct {
	Setup

	FileBytes          int64 `json:"file_bytes"`
	TernaryBytes       int64 `json:"ternary_bytes"`  // with their scales
	TokenMACs          int64 `json:"macs_per_token"` // as many as weights, but for mixtures of experts
	HeadBytes          int64 `json:"head_bytes"`     // read per generated token, on average
	HeadResident       int64 `json:"head_resident_bytes"`
	KVBytesPerPosition int64 `json:"kv_bytes_per_position"`
	// StateBytes is what a token reads and writes of the state of a model that has one.
	StateBytes int64 `json:"state_bytes,omitempty"`

	Prompt   int `json:"prompt_tokens"`
	Generate int `json:"generated_tokens"`
	Repeat   int `json:"repetitions"`

	PrefillSpeed float64    `json:"prefill_tokens_per_second"`
	PrefillRange [2]float64 `json:"prefill_tokens_per_second_range"`
	// DecodeSpeed is the speed of generation right after the prompt.
	DecodeSpeed float64    `json:"decode_tokens_per_second"`
	DecodeRange [2]float64 `json:"decode_tokens_per_second_range"`

	// BytesPerToken is ternary weights, of the experts in use, + scales + output head + state + the keys and
	// values of the mean number of positions.
	BytesPerToken int64 `json:"bytes_per_token"`
	// DecodeFraction is decode speed · bytes per token / read bandwidth, each
	// repetition with the larger bandwidth of those measured before and after.
	DecodeFraction float64 `json:"decode_fraction_of_bandwidth"`
	// PrefillFraction is prompt speed · weights of a token / int8 rate, likewise:
	// attention, norms and the head count as time, not as work.
	PrefillFraction float64 `json:"prefill_fraction_of_int8_peak"`
	// PrefillTileFraction is the same against the rate of tiles, which prompts are
	// multiplied as where there are any.
	PrefillTileFraction float64 `json:"prefill_fraction_of_tile_peak"`

	// LoadSeconds is from opening the file until the first token could run.
	// Of that, TokenizerSeconds and WeightsSeconds are for the tokenizer and
	// for reading and repacking the weights.
	LoadSeconds      float64 `json:"load_seconds"`
	TokenizerSeconds float64 `json:"tokenizer_seconds"`
	WeightsSeconds   float64 `json:"weights_seconds"`
	// PeakMemory is the largest anonymous memory of the process while it
	// loaded; MemorySource says how it was found.
	PeakMemory   int64  `json:"peak_memory_bytes"`
	MemorySource string `json:"peak_memory_source"`

	// AllocsPerStep is the number of heap allocations per generated token.
	AllocsPerStep float64 `json:"allocs_per_decode_step"`

	// Zeros is what generating has met of zeros and left out; absent where nothing is.
	Zeros *Zeros `json:"zeros,omitempty"`

	// Guesses is what guessing costs; absent where the model has been loaded without a layer for that.
	Guesses *Guesses `json:"guesses,omitempty"`

	Batch []BenchRun `json:"batch"` // N empty sequences generate together
	Depth []BenchRun `json:"depth"` // one sequence generates after N tokens

	Notes []string `json:"notes,omitempty"`
}

// BenchRun is the speed of generation in one situation.
type BenchRun struct {
	N              int        `json:"n"`
	DecodeSpeed    float64    `json:"decode_tokens_per_second"` // all sequences together
	DecodeRange    [2]float64 `json:"decode_tokens_per_second_range"`
	BytesPerToken  int64      `json:"bytes_per_token"`
	DecodeFraction float64    `json:"decode_fraction_of_bandwidth"`
}

// String returns the report as text, 80 columns wide.
func (r *BenchReport) String() string {
	var b strings.Builder
	line := func(name, format string, args ...any) {
		fmt.Fprintf(&b, "%-10s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("model", "%s", r.Model)
	if r.ModelName != "" && r.ModelName != r.Model {
		line("", "%s", clip(r.ModelName, 69))
	}
	line("weights", "%.1f M ternary in %s (%s), head %s, mode %s", float64(r.TernaryWeights)/1e6, bytesText(float64(r.TernaryBytes)), r.Layout, r.HeadType, r.HeadMode)
	if r.TokenMACs < r.TernaryWeights/2 {
		line("", "a token uses %.1f M of them", float64(r.TokenMACs)/1e6)
	}
	line("machine", "%d threads, %s, kernel %s, KV cache %s", r.Threads, r.CPU, r.Kernel, r.KVType)
	for i, text := range r.limitsText() {
		line([]string{"limits", ""}[i], "%s", text)
	}
	line("load", "%.2f s, %s anonymous memory at peak", r.LoadSeconds, bytesText(float64(r.PeakMemory)))
	parts := "head " + bytesText(float64(r.HeadBytes))
	if r.StateBytes > 0 {
		parts += ", state " + bytesText(float64(r.StateBytes))
	}
	line("step", "reads %s a token (%s), %.1f allocations", bytesText(float64(r.BytesPerToken)), parts, r.AllocsPerStep)
	if r.Zeros != nil {
		line("zeros", "%v", r.Zeros)
	}
	fmt.Fprintf(&b, "\n%-22s %10s %19s  %s\n", "test", "tokens/s", "range", "of the limit")
	row := func(name string, speed float64, spread [2]float64, fraction float64, limit string) {
		fmt.Fprintf(&b, "%-22s %10s %19s  %5.1f %% of %s\n", name, speedText(speed), speedText(spread[0])+" – "+speedText(spread[1]), 100*fraction, limit)
	}
	row(fmt.Sprintf("prompt %d", r.Prompt), r.PrefillSpeed, r.PrefillRange, r.PrefillFraction, "int8 peak")
	if r.TileMACs > 0 {
		fmt.Fprintf(&b, "%-22s %10s %19s  %5.1f %% of tiles\n", "", "", "", 100*r.PrefillTileFraction)
	}
	row(fmt.Sprintf("generate %d", r.Generate), r.DecodeSpeed, r.DecodeRange, r.DecodeFraction, "bandwidth")
	for _, x := range r.Depth {
		row(fmt.Sprintf("generate %d @ %d", r.Generate, x.N), x.DecodeSpeed, x.DecodeRange, x.DecodeFraction, "bandwidth")
	}
	for _, x := range r.Batch {
		row(fmt.Sprintf("generate %d × %d", r.Generate, x.N), x.DecodeSpeed, x.DecodeRange, x.DecodeFraction, "bandwidth")
	}
	if r.Guesses != nil {
		fmt.Fprintf(&b, "\n%v", r.Guesses)
	}
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "\n%s\n", wrap("note: "+note, 79))
	}
	return b.String()
}

// speedText formats tokens/s with three or more digits.
func speedText(x float64) string {
	switch {
	case x >= 1000:
		return fmt.Sprintf("%.0f", x)
	case x >= 100:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// bytesText formats a number of bytes in decimal units.
func bytesText(n float64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", n/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", n/1e6)
	}
	return fmt.Sprintf("%.1f kB", n/1e3)
}

// clip shortens a text to n characters.
func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// wrap breaks a text into lines of at most n characters, at spaces.
func wrap(s string, n int) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(s) {
		length := len([]rune(word))
		switch {
		case i == 0:
		case column+1+length > n:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += length
	}
	return b.String()
}
