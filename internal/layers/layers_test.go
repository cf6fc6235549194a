package layers

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	_ "trit/demo"
	"trit/hub"
	"trit/internal/engine"
	"trit/internal/model"
	_ "trit/internal/model/arch"
)

// layerTrace is a trace in memory.
type layerTrace struct {
	header *Header
	stages []Record
	lens   []LensRecord
	fail   error // to be returned by Stage
}

func (t *layerTrace) Header(h *Header) error { t.header = h; return nil }

func (t *layerTrace) Stage(r *Record) error {
	c := *r
	c.Shape, c.First, c.Spread = slices.Clone(r.Shape), slices.Clone(r.First), slices.Clone(r.Spread)
	t.stages = append(t.stages, c)
	return t.fail
}

func (t *layerTrace) Lens(r *LensRecord) error { t.lens = append(t.lens, *r); return nil }

// layerSession opens a model file on a scheduler of its own.
func layerSession(t testing.TB, name string, load model.LoadOptions, o engine.Options) *engine.Session {
	t.Helper()
	found, err := hub.Resolve(name)
	if err != nil {
		t.Fatal(err)
	}
	f, err := found.Open()
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Load(f, load)
	if err != nil {
		t.Fatal(err)
	}
	if o.Threads == 0 {
		o.Threads = 2
	}
	e, err := engine.New(m, o)
	if err != nil {
		t.Fatal(err)
	}
	s := engine.NewScheduler(e)
	t.Cleanup(func() {
		if err := errors.Join(s.Close(), m.Close()); err != nil {
			t.Error(err)
		}
	})
	session, err := s.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(session.Close)
	return session
}

var layerTokens = []int32{2045, 447, 600, 260, 499, 11, 300, 7, 90, 1200}

// trace runs the tokens and starts the session anew.
func trace(t testing.TB, s *engine.Session, tokens []int32, o TraceOptions) *layerTrace {
	t.Helper()
	out := &layerTrace{}
	if err := Trace(context.Background(), s, tokens, o, out); err != nil {
		t.Fatal(err)
	}
	if err := s.Truncate(0); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestDescribe(t *testing.T) {
	nan, inf := float32(math.NaN()), float32(math.Inf(1))
	var r Record
	r.describe("0.v", 3, []float32{1, -3, 0, 0, 2, 6}, 4)
	want := Record{Stage: "0.v", Token: 3, Shape: []int{6}, Min: -3, Max: 6, Mean: 1, Std: Number(math.Sqrt(44.0 / 6)), RMS: Number(math.Sqrt(50.0 / 6)),
		Zeros: 2, First: Values{1, -3, 0, 0}, Spread: Values{1, -3, 0, 6}, CRC: r.CRC}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("%+v\nwant %+v", r, want)
	}
	one := r.CRC
	if r.describe("0.v", 3, []float32{1, -3, 0, 0, 2, math.Nextafter32(6, 7)}, 4); r.CRC == one {
		t.Error("one bit does not change the checksum")
	}
	r.describe("0.v", 0, []float32{nan, 2, inf, -inf, -2}, 9)
	if r.NaN != 1 || r.Inf != 2 || r.Min != -2 || r.Max != 2 || r.Mean != 0 || r.Std != 2 || r.RMS != 2 || len(r.First) != 5 || len(r.Spread) != 5 {
		t.Errorf("%+v", r)
	}
	r.describe("0.v", 0, []float32{nan}, 4)
	if r.NaN != 1 || !math.IsNaN(float64(r.Min)) || !math.IsNaN(float64(r.RMS)) || len(r.Spread) != 1 {
		t.Errorf("%+v", r)
	}
	x := make([]float32, 1000)
	for i := range x {
		x[i] = float32(i)
	}
	if r.describe("0.v", 0, x, 10); !slices.Equal(r.Spread, Values{0, 111, 222, 333, 444, 555, 666, 777, 888, 999}) {
		t.Errorf("spread %v", r.Spread)
	}
}

// TestLayerRoundTrip writes and reads what JSON has no numbers for.
func TestLayerRoundTrip(t *testing.T) {
	var out bytes.Buffer
	w := NewWriter(&out)
	h := &Header{Format: layerFormat, Version: layerVersion, Model: "m", Tokens: []int32{1, 2}, Positions: []int{0, 1}, Layers: []string{"0"}, Stages: []string{"v"}, Samples: 3}
	if err := w.Header(h); err != nil {
		t.Fatal(err)
	}
	rows := [][]float32{
		{1, 0.1, float32(math.Pi), math.MaxFloat32, math.SmallestNonzeroFloat32},
		{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))},
		{float32(math.NaN())},
		{0, float32(math.Copysign(0, -1))},
	}
	var want []Record
	for i, x := range rows {
		var r Record
		r.describe("0.v", i, x, 3)
		if err := w.Stage(&r); err != nil {
			t.Fatal(err)
		}
		want = append(want, r)
	}
	lens := LensRecord{Layer: "0", Token: 1, Top: []LensToken{{ID: 5, Text: "\"<é", Probability: 0.25}}}
	if err := errors.Join(w.Lens(&lens), w.Close()); err != nil {
		t.Fatal(err)
	}
	for _, text := range [][]byte{out.Bytes(), reorder(t, out.Bytes())} {
		r, err := NewReader(bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(r.Header().Tokens, h.Tokens) {
			t.Errorf("header %+v", r.Header())
		}
		for i := range want {
			got, err := r.Next()
			if err != nil {
				t.Fatal(err)
			}
			// NaN is not equal to itself, so compare what is written.
			a, _ := json.Marshal(got)
			b, _ := json.Marshal(&want[i])
			if string(a) != string(b) {
				t.Errorf("record %d:\n%s, want\n%s", i, a, b)
			}
			for k := range got.First {
				if g, w := math.Float32bits(got.First[k]), math.Float32bits(want[i].First[k]); g != w && got.First[k] == got.First[k] {
					t.Errorf("record %d, value %d: %08x, want %08x", i, k, g, w)
				}
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("after the last record: %v", err)
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("after the end: %v", err)
		}
		if !reflect.DeepEqual(r.Lens(), []LensRecord{lens}) {
			t.Errorf("lens %+v", r.Lens())
		}
	}
}

// reorder writes a trace as other JSON programs do: indented, members sorted.
func reorder(t *testing.T, text []byte) []byte {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	out, err := json.MarshalIndent(v, "", "    ")
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTraceSelections: what is recorded does not depend on how the prompt is cut
// into passes, nor on what else is recorded.
func TestTraceSelections(t *testing.T) {
	s := layerSession(t, hub.Demo, model.LoadOptions{}, engine.Options{})
	all := trace(t, s, layerTokens, TraceOptions{})
	if want := len(layerTokens) * (1 + 6*15 + 2); len(all.stages) != want {
		t.Errorf("%d records, want %d", len(all.stages), want)
	}
	record := map[string]Record{}
	for _, r := range all.stages {
		key := fmt.Sprint(r.Stage, " ", r.Token)
		if _, twice := record[key]; twice {
			t.Errorf("%s is recorded twice", key)
		}
		record[key] = r
	}
	short := layerSession(t, hub.Demo, model.LoadOptions{}, engine.Options{MaxRows: 3, Threads: 1})
	for _, o := range []TraceOptions{
		{},
		{Tokens: []int{-1, 4, 4}, Layers: []int{2, model.LayerOut}},
		{Stages: []string{"logits", "v"}, Tokens: []int{0}},
	} {
		part := trace(t, short, layerTokens, o)
		if len(part.stages) == 0 {
			t.Errorf("%+v records nothing", o)
		}
		for _, r := range part.stages {
			if want := record[fmt.Sprint(r.Stage, " ", r.Token)]; !reflect.DeepEqual(r, want) {
				t.Errorf("%+v: %+v\nwant %+v", o, r, want)
			}
		}
	}
	part := trace(t, short, layerTokens, TraceOptions{Tokens: []int{-1, 4, 4}, Layers: []int{2, model.LayerOut}})
	if h := part.header; !slices.Equal(h.Positions, []int{4, 9}) || !slices.Equal(h.Layers, []string{"2", "out"}) || len(part.stages) != 2*17 {
		t.Errorf("%+v, %d records", h, len(part.stages))
	}
}

// TestOrigins: a trace says what computes each stage, and a comparison what to check
// there.
func TestOrigins(t *testing.T) {
	s := layerSession(t, hub.Demo, model.LoadOptions{}, engine.Options{})
	h := trace(t, s, layerTokens[:1], TraceOptions{}).header
	if want := []string{"embedding", "ffn_residual", "output_norm"}; !slices.Equal(h.Ends, want) {
		t.Errorf("layers end with %v, want %v", h.Ends, want)
	}
	for name, want := range map[string]struct {
		origin Origin
		check  string
	}{
		"embedding":     {Origin{model.OpKindEmbed, "token_embd.weight", ""}, "token_embd.weight: values"},
		"attn_norm":     {Origin{model.OpKindNorm, "attn_norm.weight", "ffn_residual"}, "blk.3.attn_norm.weight and"},
		"k_rope":        {Origin{model.OpKindRope, "attn_k.weight", ""}, "blk.3.attn_k.weight: values, type, option i2s_layout, scale; the rotation"},
		"v":             {Origin{model.OpKindProject, "attn_v.weight", ""}, "blk.3.attn_v.weight: values"},
		"attention":     {Origin{model.OpKindAttend, "", ""}, "head_count_kv"},
		"gate":          {Origin{model.OpKindProject, "ffn_gate.weight", ""}, "blk.3.ffn_gate.weight: values"},
		"gated":         {Origin{model.OpKindAct, "ffn_gate.weight", ""}, "hidden_act"},
		"attn_residual": {Origin{model.OpKindAdd, "token_embd.weight", "attn_output"}, "what is added"},
		"ffn_residual":  {Origin{model.OpKindAdd, "token_embd.weight", "down"}, "what is added"},
		LogitsStage:     {Origin{model.OpKindHead, "token_embd.weight", ""}, "token_embd.weight: values"},
	} {
		got := h.Origins[name]
		if name == "attn_norm" {
			got.From = "ffn_residual" // or of the first layer the embedding
		}
		if got != want.origin {
			t.Errorf("%s: %+v, want %+v", name, got, want.origin)
		}
		if check := got.check("3", name); !strings.Contains(check, want.check) {
			t.Errorf("%s: %q, want %q", name, check, want.check)
		}
	}
	if len(h.Origins) != len(h.Known) {
		t.Errorf("%d stages have an origin, of %d", len(h.Origins), len(h.Known))
	}
}

// TestLens: the lens on the last layer and the logits stage are what the engine
// itself computes.
func TestLens(t *testing.T) {
	s := layerSession(t, hub.Demo, model.LoadOptions{}, engine.Options{})
	if err := s.Run(context.Background(), layerTokens, engine.All, 0); err != nil {
		t.Fatal(err)
	}
	var logits [][]float32
	for i := range layerTokens {
		logits = append(logits, slices.Clone(s.Logits(i)))
	}
	if err := s.Truncate(0); err != nil {
		t.Fatal(err)
	}
	got := trace(t, s, layerTokens, TraceOptions{Stages: []string{LogitsStage}, Lens: 4, Text: func(id int32) string { return fmt.Sprint("t", id) }})
	if len(got.stages) != len(layerTokens) || len(got.lens) != 8*len(layerTokens) {
		t.Fatalf("%d records, %d of the lens", len(got.stages), len(got.lens))
	}
	for _, r := range got.stages {
		var want Record
		want.describe("out.logits", r.Token, logits[r.Token], DefaultSamples)
		if r.CRC != want.CRC {
			t.Errorf("token %d: the logits have other bits", r.Token)
		}
	}
	last := map[int]LensRecord{}
	for _, r := range got.lens {
		switch r.Layer {
		case "5":
			last[r.Token] = r
		case "out":
			if !reflect.DeepEqual(r.Top, last[r.Token].Top) {
				t.Errorf("token %d: the model predicts %v, its last layer %v", r.Token, r.Top, last[r.Token].Top)
			}
			best := 0
			var sum float64
			for i, x := range logits[r.Token] {
				if x > logits[r.Token][best] {
					best = i
				}
				sum += math.Exp(float64(x))
			}
			p := math.Exp(float64(logits[r.Token][best])) / sum
			if top := r.Top[0]; int(top.ID) != best || top.Text != fmt.Sprint("t", best) || math.Abs(top.Probability-p) > 1e-9 || len(r.Top) != 4 {
				t.Errorf("token %d: %+v, want %d with %g", r.Token, r.Top, best, p)
			}
			for i := 1; i < len(r.Top); i++ {
				if r.Top[i].Probability > r.Top[i-1].Probability {
					t.Errorf("token %d: %+v is not sorted", r.Token, r.Top)
				}
			}
		}
	}
}

func TestTraceLayersErrors(t *testing.T) {
	s := layerSession(t, hub.Demo, model.LoadOptions{}, engine.Options{})
	ctx := context.Background()
	for name, o := range map[string]TraceOptions{
		"no stage": {Stages: []string{"nonsense"}}, "layer 6": {Layers: []int{6}}, "layer -3": {Layers: []int{-3}},
		"token 10": {Tokens: []int{10}}, "token -11": {Tokens: []int{-11}}, "samples": {Samples: -1}, "lens": {Lens: 1 << 20},
	} {
		if err := Trace(ctx, s, layerTokens, o, &layerTrace{}); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
		if s.Len() != 0 {
			t.Fatalf("%s: the session holds %d tokens", name, s.Len())
		}
	}
	if err := Trace(ctx, s, nil, TraceOptions{}, &layerTrace{}); !errors.Is(err, ErrOptions) {
		t.Errorf("no tokens: %v", err)
	}
	full := &layerTrace{fail: io.ErrShortWrite}
	if err := Trace(ctx, s, layerTokens, TraceOptions{}, full); !errors.Is(err, io.ErrShortWrite) || len(full.stages) != 1 {
		t.Errorf("a sink that fails: %v after %d records", err, len(full.stages))
	}
	if err := s.Truncate(0); err != nil {
		t.Fatal(err)
	}
	stopped, stop := context.WithCancel(ctx)
	stop()
	if err := Trace(stopped, s, layerTokens, TraceOptions{}, &layerTrace{}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := s.Run(ctx, layerTokens, engine.Hidden, 0); err != nil {
		t.Fatal(err)
	}
	if err := Trace(ctx, s, layerTokens, TraceOptions{}, &layerTrace{}); !errors.Is(err, ErrOptions) {
		t.Errorf("a session that is not empty: %v", err)
	}
}

func TestParseSelections(t *testing.T) {
	for list, want := range map[string][]int{"all": nil, "0": {0}, "0,3-5,out": {0, 3, 4, 5, model.LayerOut}, " in , 2": {model.LayerIn, 2}} {
		if got, err := ParseLayers(list); err != nil || !slices.Equal(got, want) {
			t.Errorf("ParseLayers(%q) = %v, %v", list, got, err)
		}
	}
	for list, want := range map[string][]int{"all": nil, "0,-1": {0, -1}, "2-4,7": {2, 3, 4, 7}} {
		if got, err := ParsePositions(list); err != nil || !slices.Equal(got, want) {
			t.Errorf("ParsePositions(%q) = %v, %v", list, got, err)
		}
	}
	for _, list := range []string{"", "x", "-", "5-2", "1,,2", "0-99999999999", "1.5"} {
		if _, err := ParseLayers(list); !errors.Is(err, ErrOptions) {
			t.Errorf("ParseLayers(%q): %v", list, err)
		}
		if _, err := ParsePositions(list); !errors.Is(err, ErrOptions) {
			t.Errorf("ParsePositions(%q): %v", list, err)
		}
	}
}

// save writes a trace to a file.
func (t *layerTrace) save(tb testing.TB, path string) {
	tb.Helper()
	f, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	w := NewWriter(f)
	err = w.Header(t.header)
	for i := range t.stages {
		err = errors.Join(err, w.Stage(&t.stages[i]))
	}
	if err := errors.Join(err, w.Close(), f.Close()); err != nil {
		tb.Fatal(err)
	}
}

func compareFiles(t testing.TB, a, b string, o CompareOptions) (*Comparison, error) {
	t.Helper()
	x, err := Open(a)
	if err != nil {
		return nil, err
	}
	defer x.Close()
	y, err := Open(b)
	if err != nil {
		return nil, err
	}
	defer y.Close()
	return Compare(x, y, o)
}
