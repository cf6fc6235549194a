package server

import (
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"trit/internal/kernel"
	"trit/internal/metrics"
)

// collector exports what the server and its models have counted to Prometheus.
// What there is depends on the models that are loaded at the moment.
type collector struct{ server *Server }

// Describe describes nothing, which tells Prometheus that the metrics vary.
func (c *collector) Describe(chan<- *prometheus.Desc) {}

// Collect sends all metrics.
func (c *collector) Collect(out chan<- prometheus.Metric) {
	e := exporter{out}
	version, revision := Version()
	e.gauge("trit_build_info", "The program; the value is 1.", 1, "version", version, "revision", revision, "goversion", runtime.Version())
	ms := c.server.models
	used, limit := ms.memory()
	e.gauge("trit_memory_reserved_bytes", "Memory that is set aside for models.", float64(used))
	e.gauge("trit_memory_limit_bytes", "Memory that all models together may have; 0 if unknown.", float64(limit))
	c.server.requests.each(func(k requestKind, n int64) {
		e.counter("trit_http_requests_total", "Requests by route and status.", float64(n), "route", k.pattern, "status", strconv.Itoa(k.status))
	})
	seen := map[string]bool{}
	ms.each(func(l *loaded) {
		seen[l.name] = true
		c.model(&e, l)
	})
	// Those who route requests want to know of a model from the beginning.
	for _, name := range c.server.options.Models {
		if !seen[name] {
			e.gauge("trit_model_loaded", "1 if the model is loaded.", 0, "model", name)
			e.load(name, 0, 0, 0)
		}
	}
}

// model sends the metrics of a loaded model.
func (c *collector) model(e *exporter, l *loaded) {
	running, waiting := l.gate.counts()
	g := l.model.Scheduler().Gauges()
	labels := []string{"model", l.name}
	e.gauge("trit_model_loaded", "1 if the model is loaded.", 1, labels...)
	e.gauge("trit_model_memory_bytes", "Memory that is set aside for the model.", float64(l.charge), labels...)
	e.gauge("trit_requests_waiting", "Requests that wait for their turn.", float64(waiting), labels...)
	e.gauge("trit_sessions", "Texts that hold a place in the KV cache.", float64(g.Sessions), labels...)
	e.gauge("trit_sessions_parked", "Texts that wait for memory.", float64(g.Parked), labels...)
	e.gauge("trit_kv_cache_pages", "Pages of the KV cache.", float64(g.Pages), labels...)
	e.gauge("trit_kv_cache_pages_used", "Pages that running texts hold.", float64(g.UsedPages), labels...)
	e.gauge("trit_kv_cache_pages_prefix", "Pages that are kept for prompts to come and give way when others need them.", float64(g.PrefixPages), labels...)
	e.gauge("trit_kv_cache_usage_ratio", "Fraction of the KV cache that running texts hold.", usage(g.UsedPages, g.Pages), labels...)
	e.gauge("trit_kv_cache_allocated_bytes", "Memory of the pages that have been used so far.", float64(g.AllocatedPages)*float64(g.PageBytes), labels...)
	e.counter("trit_engine_steps_total", "Forward passes.", float64(g.Steps), labels...)
	e.counter("trit_engine_rows_total", "Tokens that went through forward passes.", float64(g.Rows), labels...)
	e.counter("trit_preemptions_total", "How often a text had to give its memory to others.", float64(g.Preemptions), labels...)
	e.counter("trit_prefix_cache_queries_total", "Tokens of prompts that were looked up in the prefix cache.", float64(g.Prefix.PromptTokens), labels...)
	e.counter("trit_prefix_cache_hits_total", "Tokens of prompts that the prefix cache had.", float64(g.Prefix.ReusedTokens), labels...)
	e.counter("trit_prefix_cache_evictions_total", "Pages of the prefix cache that had to give way.", float64(g.Prefix.Evicted), labels...)
	l.model.Metrics().Each(func(m metrics.Metric) { e.metric(m, labels) })

	e.load(l.name, running, waiting, usage(g.UsedPages, g.Pages))
	e.gauge("vllm:cache_config_info", "Information of the LLMEngine CacheConfig", 1,
		"block_size", strconv.Itoa(kernel.PageTokens), "num_gpu_blocks", strconv.Itoa(g.Pages), "model_name", l.name)
}

// load sends the gauges by which the Gateway API Inference Extension, llm-d and
// other routers for vLLM choose a server, under their names there.
func (e *exporter) load(model string, running, waiting int, usage float64) {
	e.gauge("vllm:num_requests_running", "Number of requests in model execution batches.", float64(running), "model_name", model)
	e.gauge("vllm:num_requests_waiting", "Number of requests waiting to be processed.", float64(waiting), "model_name", model)
	e.gauge("vllm:kv_cache_usage_perc", "KV-cache usage. 1 means 100 percent usage.", usage, "model_name", model)
}

func usage(used, all int) float64 {
	if all == 0 {
		return 0
	}
	return float64(used) / float64(all)
}

// exporter sends metrics to Prometheus. Labels are given as names and values in
// turn.
type exporter struct{ out chan<- prometheus.Metric }

func (e *exporter) gauge(name, help string, v float64, labels ...string) {
	e.send(name, help, prometheus.GaugeValue, v, labels)
}

func (e *exporter) counter(name, help string, v float64, labels ...string) {
	e.send(name, help, prometheus.CounterValue, v, labels)
}

func (e *exporter) send(name, help string, kind prometheus.ValueType, v float64, labels []string) {
	names, values := pairs(labels)
	m, err := prometheus.NewConstMetric(prometheus.NewDesc(name, help, names, nil), kind, v, values...)
	e.add(name, m, err)
}

// metric sends one of package profile's metrics.
func (e *exporter) metric(m metrics.Metric, labels []string) {
	name := "trit_" + m.Name
	if m.Histogram != nil {
		names, values := pairs(labels)
		buckets, sum := map[float64]uint64{}, uint64(0)
		for i, bound := range m.Histogram.Bounds {
			sum += m.Histogram.Counts[i]
			buckets[bound] = sum
		}
		h, err := prometheus.NewConstHistogram(prometheus.NewDesc(name, m.Help, names, nil), m.Histogram.Count, m.Histogram.Sum, buckets, values...)
		e.add(name, h, err)
		return
	}
	kind := prometheus.GaugeValue
	if m.Kind == metrics.KindCounter {
		kind = prometheus.CounterValue
	}
	for value, v := range m.Values {
		l := labels
		if m.Label != "" {
			l = append(l[:len(l):len(l)], m.Label, value)
		}
		e.send(name, m.Help, kind, v, l)
	}
}

func (e *exporter) add(name string, m prometheus.Metric, err error) {
	if err != nil {
		m = prometheus.NewInvalidMetric(prometheus.NewDesc(name, "", nil, nil), err)
	}
	e.out <- m
}

func pairs(labels []string) (names, values []string) {
	for i := 0; i+1 < len(labels); i += 2 {
		names = append(names, labels[i])
		// Names of models come from files and need not be text.
		values = append(values, strings.ToValidUTF8(labels[i+1], "\uFFFD"))
	}
	return names, values
}

// requestCounts count requests by what they asked for and what they got.
type requestCounts struct {
	mu sync.Mutex
	n  map[requestKind]int64
}

type requestKind struct {
	pattern string // of the route; empty if there is none
	status  int
}

func (c *requestCounts) add(k requestKind) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[requestKind]int64{}
	}
	c.n[k]++
}

func (c *requestCounts) each(f func(requestKind, int64)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for k, n := range c.n {
		f(k, n)
	}
}
