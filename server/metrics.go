package server

import (
	"net/http"
	"strconv"

	"trit/internal/inside"
	"trit/internal/kernel"
	"trit/internal/metrics"
	"trit/internal/version"
	"trit/server/core"
)

// metrics answers with what the server and its models have counted, as Prometheus
// reads it. What there is depends on the models that are loaded at the moment.
func (s *operations) metrics(w http.ResponseWriter, _ *http.Request) error {
	var e exposition
	s.expose(&e)
	w.Header().Set("Content-Type", metrics.ContentType)
	w.Header().Set("Process-Start-Time-Unix", strconv.FormatInt(s.Started.Unix(), 10)) // as llama-server
	if _, err := e.WriteTo(w); err != nil {
		return core.ErrAnswered // the client has gone
	}
	return nil
}

// expose collects all metrics.
func (s *operations) expose(e *exposition) {
	v := version.Get()
	e.Gauge("trit_build_info", "The program; the value is 1.", 1, "version", v.Version, "revision", v.Revision,
		"goversion", v.Go)
	e.Gauge("trit_kernels_info", "The instructions in use; the value is 1.", 1, "level", kernel.Active().String())
	ms := s.Models
	used, limit := ms.Memory()
	e.Gauge("trit_memory_reserved_bytes", "Memory that is set aside for models.", float64(used))
	e.Gauge("trit_memory_limit_bytes", "Memory that all models together may have; 0 if unknown.", float64(limit))
	s.EachRequest(func(pattern string, status int, n int64) {
		e.Counter("trit_http_requests_total", "Requests by route and status.", float64(n), "route", pattern, "status",
			strconv.Itoa(status))
	})
	for _, u := range s.KeyUses() {
		e.Counter("trit_key_requests_total", "Requests with a key that were let through.", float64(u.Requests), "key", u.Name)
		e.Counter("trit_key_prompt_tokens_total", "Tokens of prompts of a key.", float64(u.PromptTokens), "key", u.Name)
		e.Counter("trit_key_generated_tokens_total", "Tokens that were generated for a key.", float64(u.GeneratedTokens), "key", u.Name)
		e.Counter("trit_key_refused_total", "Requests that were refused for a quota of a key.", float64(u.RefusedRequests), "key", u.Name,
			"quota", "requests")
		e.Counter("trit_key_refused_total", "Requests that were refused for a quota of a key.", float64(u.RefusedTokens), "key", u.Name,
			"quota", "tokens")
	}
	e.lora(float64(s.Started.Unix()))
	seen := map[string]bool{}
	ms.Each(func(l *core.Loaded) {
		seen[l.Name] = true
		e.model(l)
		if l.Name == ms.Weights(s.Options.Models[0]) {
			e.llamacpp(l, inside.Of(l.Model).Scheduler.Gauges())
		}
	})
	// Those who route requests want to know of a model from the beginning.
	for _, name := range s.Options.Models {
		if name = ms.Weights(name); !seen[name] {
			seen[name] = true
			e.Gauge("trit_model_loaded", "1 if the model is loaded.", 0, "model", name)
			e.load(name, 0, 0, 0)
		}
	}
}

// exposition is metrics.Exposition with what several models have in common.
type exposition struct{ metrics.Exposition }

// model adds the metrics of a loaded model.
func (e *exposition) model(l *core.Loaded) {
	running, waiting := l.Counts()
	g := inside.Of(l.Model).Scheduler.Gauges()
	labels := []string{"model", l.Name}
	e.Gauge("trit_model_loaded", "1 if the model is loaded.", 1, labels...)
	e.Gauge("trit_model_memory_bytes", "Memory that is set aside for the model.", float64(l.Charge), labels...)
	e.Gauge("trit_requests_waiting", "Requests that wait for their turn.", float64(waiting), labels...)
	e.Gauge("trit_sessions", "Texts that hold a place in the KV cache.", float64(g.Sessions), labels...)
	e.Gauge("trit_sessions_parked", "Texts that wait for memory.", float64(g.Parked), labels...)
	e.Gauge("trit_kv_cache_pages", "Pages of the KV cache.", float64(g.Pages), labels...)
	e.Gauge("trit_kv_cache_pages_used", "Pages that running texts hold.", float64(g.UsedPages), labels...)
	e.Gauge("trit_kv_cache_pages_prefix",
		"Pages that are kept for prompts to come and give way when others need them.", float64(g.PrefixPages),
		labels...)
	e.Gauge("trit_kv_cache_usage_ratio", "Fraction of the KV cache that running texts hold.",
		usage(g.UsedPages, g.Pages), labels...)
	e.Gauge("trit_kv_cache_allocated_bytes", "Memory of the pages and states that have been used so far.",
		float64(g.AllocatedPages)*float64(g.PageBytes)+float64(g.States.Allocated)*float64(g.States.Bytes), labels...)
	e.Gauge("trit_states", "Recurrent states that running texts hold; they are among the pages used.",
		float64(g.States.Held), labels...)
	e.Gauge("trit_state_snapshots",
		"Recurrent states from which texts can go on, and which give way when others need memory.",
		float64(g.States.Snapshots), labels...)
	e.Gauge("trit_state_bytes", "Memory of one recurrent state, or of one snapshot; 0 for models without.",
		float64(g.States.Bytes), labels...)
	e.Counter("trit_engine_steps_total", "Forward passes.", float64(g.Steps), labels...)
	e.Counter("trit_engine_rows_total", "Tokens that went through forward passes.", float64(g.Rows), labels...)
	e.Counter("trit_preemptions_total", "How often a text had to give its memory to others.", float64(g.Preemptions),
		labels...)
	e.Counter("trit_prefix_cache_queries_total", "Tokens of prompts that were looked up in the prefix cache.",
		float64(g.Prefix.PromptTokens), labels...)
	e.Counter("trit_prefix_cache_hits_total", "Tokens of prompts that the prefix cache had.",
		float64(g.Prefix.ReusedTokens), labels...)
	e.Counter("trit_prefix_cache_evictions_total", "Pages of the prefix cache that had to give way.",
		float64(g.Prefix.Evicted), labels...)
	l.Model.Metrics().Each(func(m metrics.Metric) { e.Metric("trit_", m, labels...) })

	e.load(l.Name, running, waiting, usage(g.UsedPages, g.Pages))
	e.vllm(l, g)
	e.Gauge("vllm:cache_config_info", "Information of the LLMEngine CacheConfig", 1,
		"block_size", strconv.Itoa(kernel.PageTokens), "num_gpu_blocks", strconv.Itoa(g.Pages), "model_name", l.Name)
}

// load adds the gauges by which the Gateway API Inference Extension, llm-d and
// other routers for vLLM choose a server, under their names there.
func (e *exposition) load(model string, running, waiting int, usage float64) {
	e.Gauge("vllm:num_requests_running", "Number of requests in model execution batches.", float64(running),
		"model_name", model)
	e.Gauge("vllm:num_requests_waiting", "Number of requests waiting to be processed.", float64(waiting), "model_name",
		model)
	e.Gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", usage, "model_name", model)
}

func usage(used, all int) float64 {
	if all == 0 {
		return 0
	}
	return float64(used) / float64(all)
}
