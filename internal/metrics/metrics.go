// Package metrics counts and times the generations of a model: counters, gauges and histograms that cost an atomic
// operation each and that a server prints.
package metrics

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Metrics count and time the generations of a model, for as long as it is open.
// All methods may be called at any time by any goroutine.
//
// What there is to know about a model besides, such as the state of its KV
// cache, comes from engine.Scheduler's Gauges.
type Metrics struct {
	// Running is the number of requests that are being answered.
	Running Gauge

	// FirstToken is the time from a request's arrival to its first token, in
	// seconds; OutputToken that between two tokens of an answer, without the
	// time that the consumer took; Queue the time a request had to wait before
	// it was begun; Prefill that from then to its first token, Decode that from the
	// first token to the end; Total that from arrival to end.
	FirstToken, OutputToken, Queue, Prefill, Decode, Total *Histogram
	// Prompt and Generated are tokens per request, of all its answers together; Limit is
	// how many an answer may have.
	Prompt, Generated, Limit *Histogram
	// StepRows and StepTime are the tokens and the seconds of forward passes.
	StepRows, StepTime *Histogram

	// PromptTokens and GeneratedTokens were processed, CachedTokens of the
	// prompts' found in the prefix cache; of GuessedTokens that speculation
	// proposed AcceptedTokens were right.
	PromptTokens, CachedTokens, GeneratedTokens, GuessedTokens, AcceptedTokens Counter
	// Finished counts answers by the reason that ended them: those of
	// generate.Finish, and "error".
	Finished Counters
}

// New returns metrics that have counted nothing yet.
func New() *Metrics {
	phase := []float64{.001, .01, .05, .1, .3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 60, 120, 240, 480, 960}
	return &Metrics{
		Prefill:     NewHistogram(phase...),
		Decode:      NewHistogram(phase...),
		FirstToken:  NewHistogram(.001, .005, .01, .02, .04, .06, .08, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10, 20, 40, 80, 160),
		OutputToken: NewHistogram(.0005, .001, .0025, .005, .01, .025, .05, .075, .1, .15, .2, .3, .4, .5, .75, 1, 2.5, 5),
		Queue:       NewHistogram(.001, .01, .1, .3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 20, 40, 80, 160, 320, 640),
		Total:       NewHistogram(.01, .05, .1, .3, .5, .8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 60, 120, 240, 480, 960),
		Prompt:      NewHistogram(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000),
		Limit:       NewHistogram(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000),
		Generated:   NewHistogram(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000),
		StepRows:    NewHistogram(1, 4, 8, 16, 32, 64, 128, 256, 1024, 4096),
		StepTime:    NewHistogram(.001, .005, .01, .02, .04, .08, .12, .15, .2, .3, .5, 1, 2.5, 5),
	}
}

// Step notes a forward pass.
func (m *Metrics) Step(rows int, took time.Duration) {
	m.StepRows.Observe(float64(rows))
	m.StepTime.ObserveDuration(took)
}

// MetricKind says how a metric behaves.
type MetricKind uint8

// The kinds.
const (
	KindCounter   MetricKind = iota // only grows
	KindGauge                       // goes up and down
	KindHistogram                   // observations in buckets
)

// Metric is one metric with its values at a moment.
type Metric struct {
	// Name follows the conventions of Prometheus: base units, and _total for
	// counters. Help is one sentence.
	Name, Help string
	Kind       MetricKind
	// Label is the name of what tells the Values apart; empty if there is one
	// value, whose key then is empty too.
	Label  string
	Values map[string]float64
	// Histogram is set for those.
	Histogram *HistogramSnapshot
}

// Each calls f for every metric.
func (m *Metrics) Each(f func(Metric)) {
	one(f, KindGauge, "requests_running", "Requests that are being answered.", float64(m.Running.Load()))
	many(f, "time_to_first_token_seconds", "Time from the arrival of a request to its first token.", m.FirstToken)
	many(f, "time_per_output_token_seconds", "Time between two tokens of an answer, without the time the client took.", m.OutputToken)
	many(f, "request_queue_time_seconds", "Time that a request waited before it was begun.", m.Queue)
	many(f, "request_prefill_time_seconds", "Time from the beginning of a request to its first token.", m.Prefill)
	many(f, "request_decode_time_seconds", "Time from the first token of a request to its end.", m.Decode)
	many(f, "request_duration_seconds", "Time from the arrival of a request to its end.", m.Total)
	many(f, "request_prompt_tokens", "Tokens of a request's prompt.", m.Prompt)
	many(f, "request_generation_tokens", "Generated tokens of a request, of all answers together.", m.Generated)
	many(f, "request_limit_tokens", "Tokens that an answer may have at most.", m.Limit)
	many(f, "engine_step_rows", "Tokens of a forward pass.", m.StepRows)
	many(f, "engine_step_seconds", "Time of a forward pass.", m.StepTime)
	one(f, KindCounter, "prompt_tokens_total", "Tokens of prompts.", float64(m.PromptTokens.Load()))
	one(f, KindCounter, "prompt_tokens_cached_total", "Tokens of prompts that the prefix cache had.", float64(m.CachedTokens.Load()))
	one(f, KindCounter, "generation_tokens_total", "Generated tokens.", float64(m.GeneratedTokens.Load()))
	one(f, KindCounter, "speculation_tokens_guessed_total", "Tokens that speculation proposed.", float64(m.GuessedTokens.Load()))
	one(f, KindCounter, "speculation_tokens_accepted_total", "Proposed tokens that were right.", float64(m.AcceptedTokens.Load()))
	f(Metric{Name: "answers_finished_total", Help: "Answers by the reason that ended them.", Kind: KindCounter, Label: "reason", Values: m.Finished.Load()})
}

// one and many are not inlined: that made most of Each's ten kilobytes.

//go:noinline
func one(f func(Metric), kind MetricKind, name, help string, v float64) {
	f(Metric{Name: name, Help: help, Kind: kind, Values: map[string]float64{"": v}})
}

//go:noinline
func many(f func(Metric), name, help string, h *Histogram) {
	s := h.Snapshot()
	f(Metric{Name: name, Help: help, Kind: KindHistogram, Histogram: &s})
}

// Counter is a number that only grows.
type Counter struct{ n atomic.Int64 }

// Add adds n, which must not be negative.
func (c *Counter) Add(n int) { c.n.Add(int64(n)) }

// Load returns the count.
func (c *Counter) Load() int64 { return c.n.Load() }

// Gauge is a number that goes up and down.
type Gauge struct{ n atomic.Int64 }

// Add adds n.
func (g *Gauge) Add(n int) { g.n.Add(int64(n)) }

// Load returns the number.
func (g *Gauge) Load() int64 { return g.n.Load() }

// Counters are counters with names. The zero value has none.
type Counters struct {
	mu sync.Mutex
	n  map[string]int64
}

// Add adds n to the counter of that name.
func (c *Counters) Add(name string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[string]int64{}
	}
	c.n[name] += int64(n)
}

// Load returns all counts.
func (c *Counters) Load() map[string]float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	out := make(map[string]float64, len(c.n))
	for name, n := range c.n {
		out[name] = float64(n)
	}
	return out
}

// Histogram counts observations in buckets.
type Histogram struct {
	bounds []float64 // ascending

	mu     sync.Mutex
	counts []uint64 // one more than bounds
	sum    float64
}

// NewHistogram returns a histogram with buckets up to and including each of the
// bounds, which ascend, and one for what is larger.
//
//go:noinline
func NewHistogram(bounds ...float64) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]uint64, len(bounds)+1)}
}

// Observe counts a value; NaN is ignored.
func (h *Histogram) Observe(v float64) {
	if math.IsNaN(v) {
		return
	}
	i := 0
	for i < len(h.bounds) && v > h.bounds[i] {
		i++
	}
	h.mu.Lock()
	h.counts[i]++
	h.sum += v
	h.mu.Unlock()
}

// ObserveDuration counts a time in seconds.
func (h *Histogram) ObserveDuration(d time.Duration) { h.Observe(d.Seconds()) }

// HistogramSnapshot is the state of a histogram at a moment.
type HistogramSnapshot struct {
	// Bounds are the upper bounds of the buckets. Counts has one element more:
	// the values above all bounds. They are not cumulative.
	Bounds []float64
	Counts []uint64
	Sum    float64
	Count  uint64
}

// Snapshot returns the state now.
func (h *Histogram) Snapshot() HistogramSnapshot {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := HistogramSnapshot{Bounds: h.bounds, Counts: append([]uint64(nil), h.counts...), Sum: h.sum}
	for _, n := range s.Counts {
		s.Count += n
	}
	return s
}

// Quantile returns an estimate of the value below which the fraction q of the
// observations lies, by linear interpolation in its bucket; NaN if there are no
// observations. It is at most the largest bound.
func (s HistogramSnapshot) Quantile(q float64) float64 {
	if s.Count == 0 || len(s.Bounds) == 0 {
		return math.NaN()
	}
	rank, below := q*float64(s.Count), 0.0
	for i, bound := range s.Bounds {
		n := float64(s.Counts[i])
		if below+n >= rank && n > 0 {
			low := 0.0
			if i > 0 {
				low = s.Bounds[i-1]
			}
			return low + float64((bound-low)*(rank-below))/n
		}
		below += n
	}
	return s.Bounds[len(s.Bounds)-1]
}
