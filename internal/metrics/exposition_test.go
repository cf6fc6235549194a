package metrics

import (
	"errors"
	"math"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

func TestExposition(t *testing.T) {
	h := NewHistogram(0.5, 2)
	for _, v := range []float64{0.25, 1, 1, 1e6} {
		h.Observe(v)
	}
	snapshot := h.Snapshot()
	var e Exposition
	e.Gauge("up", "It is up.", 1)
	e.Metric("x_", Metric{Name: "seconds", Help: "Time.", Kind: KindHistogram, Histogram: &snapshot}, "model", "b")
	e.Counter("a:total", `A \ and`+"\nmore.", 3, "model", "b\\\"\n", "z", "")
	e.Counter("a:total", `A \ and`+"\nmore.", math.NaN(), "model", "a\xff你")
	e.Metric("x_", Metric{Name: "ended_total", Help: "Ends.", Kind: KindCounter, Label: "reason", Values: map[string]float64{"stop": 2, "length": math.Inf(1)}}, "model", "b")
	want := `# HELP a:total A \\ and\nmore.
# TYPE a:total counter
a:total{model="a` + "\uFFFD" + `你"} NaN
a:total{model="b\\\"\n",z=""} 3
# HELP up It is up.
# TYPE up gauge
up 1
# HELP x_ended_total Ends.
# TYPE x_ended_total counter
x_ended_total{model="b",reason="length"} +Inf
x_ended_total{model="b",reason="stop"} 2
# HELP x_seconds Time.
# TYPE x_seconds histogram
x_seconds_bucket{model="b",le="0.5"} 1
x_seconds_bucket{model="b",le="2"} 3
x_seconds_bucket{model="b",le="+Inf"} 4
x_seconds_sum{model="b"} 1.00000225e+06
x_seconds_count{model="b"} 4
`
	var got strings.Builder
	if n, err := e.WriteTo(&got); err != nil || n != int64(len(want)) || got.String() != want {
		t.Fatalf("%d bytes, %v:\n%s\nwant\n%s", n, err, got.String(), want)
	}

	// Prometheus reads what was meant.
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(want))
	if err != nil {
		t.Fatal(err)
	}
	if f := families["a:total"]; f.GetHelp() != "A \\ and\nmore." || f.GetMetric()[1].GetLabel()[0].GetValue() != "b\\\"\n" {
		t.Errorf("escapes are read back as %v", f)
	}
	f := families["x_seconds"]
	if f.GetType() != dto.MetricType_HISTOGRAM || f.GetMetric()[0].GetHistogram().GetSampleCount() != 4 {
		t.Errorf("the histogram is read back as %v", f)
	}
}

func TestExpositionOfAllMetrics(t *testing.T) {
	m := New()
	m.FirstToken.Observe(0.02)
	m.Finished.Add("stop", 2)
	var e Exposition
	m.Each(func(m Metric) { e.Metric("trit_", m, "model", "demo") })
	var text strings.Builder
	if _, err := e.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	m.Each(func(m Metric) {
		f := families["trit_"+m.Name]
		if f.GetHelp() != m.Help || strings.ToLower(f.GetType().String()) != m.Kind.String() || len(f.GetMetric()) != 1 {
			t.Errorf("%s %q of kind %v is read as %v", m.Name, m.Help, m.Kind, f)
		}
	})
}

type brokenWriter struct{}

var errBroken = errors.New("broken")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

func TestExpositionWriteError(t *testing.T) {
	var e Exposition
	e.Gauge("up", "It is up.", 1)
	if _, err := e.WriteTo(brokenWriter{}); !errors.Is(err, errBroken) {
		t.Errorf("the error is %v", err)
	}
}
