package server

import (
	"trit/internal/engine"
	"trit/internal/metrics"
	"trit/server/core"
)

// vllmNames are the names that vLLM's dashboard and those who choose servers by vLLM's
// metrics have for a model's.
var vllmNames = map[string]string{
	"time_to_first_token_seconds":   "time_to_first_token_seconds",
	"time_per_output_token_seconds": "inter_token_latency_seconds",
	"request_queue_time_seconds":    "request_queue_time_seconds",
	"request_prefill_time_seconds":  "request_prefill_time_seconds",
	"request_decode_time_seconds":   "request_decode_time_seconds",
	"request_duration_seconds":      "e2e_request_latency_seconds",
	"request_prompt_tokens":         "request_prompt_tokens",
	"request_generation_tokens":     "request_generation_tokens",
	"request_limit_tokens":          "request_max_num_generation_tokens",
	"engine_step_rows":              "iteration_tokens_total",
	"prompt_tokens_total":           "prompt_tokens_total",
	"generation_tokens_total":       "generation_tokens_total",
	"answers_finished_total":        "request_success_total",
}

// finishedReasons are vLLM's words for why an answer ended; the others are not among its
// successes.
var finishedReasons = map[string]string{"stop": "stop", "stop_string": "stop", "length": "length", "cancelled": "abort"}

// vllm adds the metrics of a model under vLLM's names.
func (e *exposition) vllm(l *core.Loaded, g engine.Gauges) {
	labels := []string{"model_name", l.Name}
	l.Model.Metrics().Each(func(m metrics.Metric) {
		name, ok := vllmNames[m.Name]
		if !ok {
			return
		}
		m.Name = name
		if m.Label != "" {
			values := map[string]float64{"stop": 0, "length": 0, "abort": 0}
			for reason, n := range m.Values {
				if word, ok := finishedReasons[reason]; ok {
					values[word] += n
				}
			}
			m.Label, m.Values = "finished_reason", values
		}
		e.Metric("vllm:", m, labels...)
	})
	e.Counter("vllm:num_preemptions_total", "Cumulative number of preemptions.", float64(g.Preemptions), labels...)
	e.Counter("vllm:prefix_cache_queries_total", "Prefix cache queries, in tokens.", float64(g.Prefix.PromptTokens), labels...)
	e.Counter("vllm:prefix_cache_hits_total", "Prefix cache hits, in tokens.", float64(g.Prefix.ReusedTokens), labels...)
}

// lora says that there are no adapters: who chooses servers by them fails without this.
func (e *exposition) lora(started float64) {
	e.Gauge("vllm:lora_requests_info", "Running stats on LoRA requests.", started,
		"running_lora_adapters", "", "waiting_lora_adapters", "", "max_lora", "0")
}

// llamacpp adds what llama-server tells, under its names. They have no labels there, and
// are those of the model that requests without a name go to.
func (e *exposition) llamacpp(l *core.Loaded, g engine.Gauges) {
	m := l.Model.Metrics()
	running, waiting := l.Counts()
	prompt, decode := m.Prefill.Snapshot().Sum, m.Decode.Snapshot().Sum
	computed, generated := float64(m.PromptTokens.Load()-m.CachedTokens.Load()), float64(m.GeneratedTokens.Load())
	rate := func(tokens, seconds float64) float64 {
		if seconds == 0 {
			return 0
		}
		return tokens / seconds
	}
	const prefix = "llamacpp:"
	e.Counter(prefix+"prompt_tokens_total", "Number of prompt tokens processed.", computed)
	e.Counter(prefix+"prompt_tokens_cached_total", "Number of prompt tokens reused from the cache.", float64(m.CachedTokens.Load()))
	e.Counter(prefix+"prompt_seconds_total", "Prompt process time.", prompt)
	e.Counter(prefix+"tokens_predicted_total", "Number of generation tokens processed.", generated)
	e.Counter(prefix+"tokens_predicted_seconds_total", "Predict process time.", decode)
	e.Counter(prefix+"n_decode_total", "Total number of forward passes.", float64(g.Steps))
	e.Counter(prefix+"spec_decode_num_draft_tokens_total", "Number of draft tokens proposed.", float64(m.GuessedTokens.Load()))
	e.Counter(prefix+"spec_decode_num_accepted_tokens_total", "Number of draft tokens accepted.", float64(m.AcceptedTokens.Load()))
	e.Gauge(prefix+"n_busy_slots_per_decode", "Average number of tokens in a forward pass.", rate(float64(g.Rows), float64(g.Steps)))
	e.Gauge(prefix+"prompt_tokens_seconds", "Average prompt throughput in tokens/s.", rate(computed, prompt))
	e.Gauge(prefix+"predicted_tokens_seconds", "Average generation throughput in tokens/s.", rate(generated, decode))
	e.Gauge(prefix+"requests_processing", "Number of requests processing.", float64(running))
	e.Gauge(prefix+"requests_deferred", "Number of requests deferred.", float64(waiting))
}
