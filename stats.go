package trit

import (
	"time"
	"trit/internal/metrics"
)

// Metrics returns what has been counted and timed of all generations of the
// model since it was opened. A server exports them to Prometheus.
func (m *Model) Metrics() *Metrics { return m.metrics }

// Metrics are counters, gauges and histograms.
type Metrics = metrics.Metrics

// meter records one generation in the metrics.
type meter struct {
	metrics  *metrics.Metrics
	arrived  time.Time
	began    time.Time
	consumer time.Duration // time that the consumer took
	last     []time.Duration
	first    bool
	firstAt  time.Time // when the first token came
	ended    int       // answers
	failed   bool
	stats    func() Stats
}

// measure begins to record a generation of so many answers. stats returns its
// counts.
func (m *Model) measure(arrived time.Time, answers int, stats func() Stats) *meter {
	r := &meter{metrics: m.metrics, arrived: arrived, began: time.Now(), last: make([]time.Duration, max(answers, 1)), stats: stats}
	if r.arrived.IsZero() {
		r.arrived = r.began
	}
	r.metrics.Running.Add(1)
	r.metrics.Queue.ObserveDuration(r.began.Sub(r.arrived))
	return r
}

// yield wraps the consumer of the tokens.
func (r *meter) yield(next func(Token, error) bool) func(Token, error) bool {
	return func(t Token, err error) bool {
		now := time.Now()
		if err == nil {
			r.token(t, now)
		}
		goOn := next(t, err)
		r.consumer += time.Since(now)
		r.failed = r.failed || err != nil
		return goOn
	}
}

func (r *meter) token(t Token, now time.Time) {
	if !r.first {
		r.first = true
		r.firstAt = now
		r.metrics.FirstToken.ObserveDuration(now.Sub(r.arrived))
		r.metrics.Prefill.ObserveDuration(now.Sub(r.began))
	}
	clock := now.Sub(r.began) - r.consumer
	if last := &r.last[t.Index]; *last == 0 {
		*last = clock
	} else {
		r.metrics.OutputToken.ObserveDuration(clock - *last)
		*last = clock
	}
	if t.Finish != "" {
		r.metrics.Finished.Add(string(t.Finish), 1)
		r.ended++
	}
}

// finishError counts the answers that an error ended.
const finishError = "error"

// close records what is known at the end only. finish is why the generation
// ended.
func (r *meter) close(finish Finish) {
	m, s := r.metrics, r.stats()
	if n := len(r.last) - r.ended; n > 0 {
		reason := string(FinishCancelled)
		if r.failed && finish != FinishCancelled {
			reason = finishError
		}
		m.Finished.Add(reason, n)
	}
	m.Running.Add(-1)
	m.Total.ObserveDuration(time.Since(r.arrived))
	if r.first {
		m.Decode.ObserveDuration(time.Since(r.firstAt))
	}
	m.Prompt.Observe(float64(s.PromptTokens))
	m.Generated.Observe(float64(s.GeneratedTokens))
	m.PromptTokens.Add(s.PromptTokens)
	m.CachedTokens.Add(s.CachedTokens)
	m.GeneratedTokens.Add(s.GeneratedTokens)
	m.GuessedTokens.Add(s.GuessedTokens)
	m.AcceptedTokens.Add(s.AcceptedTokens)
}
