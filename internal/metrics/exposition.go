package metrics

import (
	"io"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"trit/internal/order"
)

// ContentType is the media type of what [Exposition] writes.
const ContentType = "text/plain; version=0.0.4; charset=utf-8"

// Exposition collects metrics and writes them in the text format of Prometheus
// (https://prometheus.io/docs/instrumenting/exposition_formats/), in which all
// values of one name stand together, whatever order they came in. The zero value
// is empty.
//
// Labels are given as names and values in turn. Names of metrics and of labels
// must be those that the format allows; values may be any bytes.
type Exposition struct{ families map[string]*family }

// family is all that has one name.
type family struct {
	help   string
	kind   MetricKind
	series []series
}

// series is the lines of one set of labels.
type series struct{ labels, lines string }

// Gauge adds a gauge's value.
func (e *Exposition) Gauge(name, help string, v float64, labels ...string) {
	e.value(name, help, KindGauge, v, labels)
}

// Counter adds a counter's value.
func (e *Exposition) Counter(name, help string, v float64, labels ...string) {
	e.value(name, help, KindCounter, v, labels)
}

// Metric adds a metric of a model under its name with the prefix before it.
func (e *Exposition) Metric(prefix string, m Metric, labels ...string) {
	if m.Histogram != nil {
		e.histogram(prefix+m.Name, m.Help, m.Histogram, labels)
		return
	}
	for value, v := range m.Values {
		l := labels
		if m.Label != "" {
			l = append(slices.Clip(labels), m.Label, value)
		}
		e.value(prefix+m.Name, m.Help, m.Kind, v, l)
	}
}

func (e *Exposition) value(name, help string, kind MetricKind, v float64, labels []string) {
	text := labelText(labels)
	e.add(name, help, kind, text, sample(name, text, v))
}

func (e *Exposition) histogram(name, help string, h *HistogramSnapshot, labels []string) {
	var lines strings.Builder
	below := uint64(0)
	for i, n := range h.Counts {
		bound := math.Inf(1)
		if i < len(h.Bounds) {
			bound = h.Bounds[i]
		}
		below += n
		bucket := labelText(append(slices.Clip(labels), "le", number(bound)))
		lines.WriteString(sample(name+"_bucket", bucket, float64(below)))
	}
	text := labelText(labels)
	lines.WriteString(sample(name+"_sum", text, h.Sum))
	lines.WriteString(sample(name+"_count", text, float64(h.Count)))
	e.add(name, help, KindHistogram, text, lines.String())
}

func (e *Exposition) add(name, help string, kind MetricKind, labels, lines string) {
	if e.families == nil {
		e.families = map[string]*family{}
	}
	f := e.families[name]
	if f == nil {
		f = &family{help: help, kind: kind}
		e.families[name] = f
	}
	f.series = append(f.series, series{labels, lines})
}

// WriteTo writes what was added, sorted by names and labels.
func (e *Exposition) WriteTo(w io.Writer) (int64, error) {
	var out strings.Builder
	for _, name := range slices.Sorted(maps.Keys(e.families)) {
		f := e.families[name]
		out.WriteString("# HELP " + name + " " + helpEscapes.Replace(f.help) + "\n")
		out.WriteString("# TYPE " + name + " " + f.kind.String() + "\n")
		order.Stable(f.series, func(a, b series) int { return strings.Compare(a.labels, b.labels) })
		for _, s := range f.series {
			out.WriteString(s.lines)
		}
	}
	n, err := io.WriteString(w, out.String())
	return int64(n), err
}

// String returns the kind's name in the text format.
func (k MetricKind) String() string {
	switch k {
	case KindCounter:
		return "counter"
	case KindGauge:
		return "gauge"
	case KindHistogram:
		return "histogram"
	}
	return "untyped"
}

var (
	helpEscapes  = strings.NewReplacer(`\`, `\\`, "\n", `\n`)
	labelEscapes = strings.NewReplacer(`\`, `\\`, "\n", `\n`, `"`, `\"`)
)

// labelText writes labels as they stand behind a name; nothing if there are none.
func labelText(labels []string) string {
	var parts []string
	for i := 0; i+1 < len(labels); i += 2 {
		// Names of models come from files and need not be text.
		value := labelEscapes.Replace(strings.ToValidUTF8(labels[i+1], "\uFFFD"))
		parts = append(parts, labels[i]+`="`+value+`"`)
	}
	if parts == nil {
		return ""
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func sample(name, labels string, v float64) string { return name + labels + " " + number(v) + "\n" }

// number writes a value; infinities are +Inf and -Inf, as FormatFloat writes them.
func number(v float64) string { return strconv.FormatFloat(v, 'g', -1, 64) }
