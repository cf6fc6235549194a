package server

import (
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"trit/internal/inside"
	"trit/internal/kernel"
	"trit/internal/metrics"
)

// scrape reads /metrics with Prometheus' own parser.
func (s *served) scrape() map[string]*dto.MetricFamily {
	s.t.Helper()
	r := s.do("GET", "/metrics", "")
	r.expect(s.t, 200)
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(r.body))
	if err != nil {
		s.t.Fatalf("%v in %s", err, r.body)
	}
	return families
}

// value returns the value of a metric with these labels, given as names and
// values in turn; NaN if there is none.
func value(f *dto.MetricFamily, labels ...string) float64 {
	for _, m := range f.GetMetric() {
		match := true
		for i := 0; i+1 < len(labels); i += 2 {
			found := false
			for _, l := range m.Label {
				found = found || l.GetName() == labels[i] && l.GetValue() == labels[i+1]
			}
			match = match && found
		}
		if match {
			return m.GetGauge().GetValue() + m.GetCounter().GetValue()
		}
	}
	return math.NaN()
}

func TestMetrics(t *testing.T) {
	s := serve(t, Options{})
	for range 3 {
		s.do("POST", "/v1/completions", `{"model":"demo","prompt":"Once upon a time there was a little girl who lived in a house near the big forest. She had a dog and a cat and a bird and","max_tokens":10,"ignore_eos":true,"temperature":0}`).expect(t, 200)
	}
	s.do("POST", "/v1/completions", `{"model":"none","prompt":"x"}`).expect(t, 404)
	f := s.scrape()
	g := inside.Of(s.demo().Model).Scheduler.Gauges()
	for name, want := range map[string]float64{
		"vllm:num_requests_running": 0, "vllm:num_requests_waiting": 0, "vllm:kv_cache_usage_perc": 0,
	} {
		if got := value(f[name], "model_name", "demo"); got != want || f[name].GetType() != dto.MetricType_GAUGE {
			t.Errorf("%s is %g", name, got)
		}
	}
	if got := value(f["vllm:cache_config_info"], "block_size", strconv.Itoa(kernel.PageTokens), "num_gpu_blocks", strconv.Itoa(g.Pages)); got != 1 {
		t.Errorf("cache_config_info: %v", f["vllm:cache_config_info"])
	}
	for name, want := range map[string]float64{
		"trit_generation_tokens_total": 30, "trit_requests_running": 0, "trit_requests_waiting": 0, "trit_model_loaded": 1, "trit_sessions": 0,
		"trit_kv_cache_pages": float64(g.Pages), "trit_kv_cache_pages_used": 0, "trit_engine_steps_total": float64(g.Steps),
		"trit_prefix_cache_hits_total": float64(g.Prefix.ReusedTokens),
	} {
		if got := value(f[name], "model", "demo"); got != want {
			t.Errorf("%s is %g, want %g", name, got, want)
		}
	}
	if value(f["trit_prefix_cache_hits_total"], "model", "demo") < 2*kernel.PageTokens || value(f["trit_prompt_tokens_cached_total"], "model", "demo") < 2*kernel.PageTokens {
		t.Error("the second and third prompt found nothing in the prefix cache")
	}
	if got := value(f["trit_answers_finished_total"], "model", "demo", "reason", "length"); got != 3 {
		t.Errorf("%g answers have ended by length", got)
	}
	if got := value(f["trit_http_requests_total"], "route", "POST /v1/completions", "status", "404"); got != 1 {
		t.Errorf("%g requests were answered with 404", got)
	}
	if len(f["trit_build_info"].GetMetric()) != 1 {
		t.Error("there is no trit_build_info")
	}
	for name, want := range map[string]float64{
		"vllm:prompt_tokens_total": value(f["trit_prompt_tokens_total"], "model", "demo"), "vllm:generation_tokens_total": 30, "vllm:num_preemptions_total": 0,
		"vllm:prefix_cache_hits_total": float64(g.Prefix.ReusedTokens), "vllm:prefix_cache_queries_total": float64(g.Prefix.PromptTokens),
	} {
		if got := value(f[name], "model_name", "demo"); got != want {
			t.Errorf("%s is %g, want %g", name, got, want)
		}
	}
	if got := value(f["vllm:request_success_total"], "finished_reason", "length"); got != 3 {
		t.Errorf("vLLM's name says that %g answers have ended by length", got)
	}
	if got := value(f["vllm:lora_requests_info"], "running_lora_adapters", "", "waiting_lora_adapters", "", "max_lora", "0"); !(got > 1e9) {
		t.Errorf("lora_requests_info: %v", f["vllm:lora_requests_info"])
	}
	for name, want := range map[string]float64{"llamacpp:tokens_predicted_total": 30, "llamacpp:n_decode_total": float64(g.Steps), "llamacpp:requests_processing": 0} {
		if got := value(f[name]); got != want {
			t.Errorf("%s is %g, want %g", name, got, want)
		}
	}
	if value(f["llamacpp:prompt_tokens_seconds"]) <= 0 || value(f["llamacpp:predicted_tokens_seconds"]) <= 0 {
		t.Errorf("rates: %v, %v", f["llamacpp:prompt_tokens_seconds"], f["llamacpp:predicted_tokens_seconds"])
	}
	for name, want := range map[string]uint64{
		"vllm:time_to_first_token_seconds": 3, "vllm:inter_token_latency_seconds": 27, "vllm:e2e_request_latency_seconds": 3,
		"vllm:request_prefill_time_seconds": 3, "vllm:request_decode_time_seconds": 3, "vllm:request_max_num_generation_tokens": 3,
		"trit_time_to_first_token_seconds": 3, "trit_time_per_output_token_seconds": 27, "trit_request_queue_time_seconds": 3,
		"trit_request_duration_seconds": 3, "trit_request_prompt_tokens": 3, "trit_request_generation_tokens": 3,
	} {
		checkHistogram(t, name, f[name], want)
	}
}

// TestMetricsNames: dashboards and alerts depend on names, types and labels, so
// they change only on purpose.
func TestMetricsNames(t *testing.T) {
	s := serve(t, Options{})
	s.do("POST", "/v1/completions", `{"model":"demo","prompt":"Once","max_tokens":2}`).expect(t, 200)
	r := s.do("GET", "/metrics", "")
	if got := r.header.Get("Content-Type"); got != metrics.ContentType {
		t.Errorf("the content type is %q", got)
	}
	var lines []string
	for name, f := range s.scrape() {
		labels := map[string]bool{}
		seen := map[string]bool{}
		for _, m := range f.GetMetric() {
			if key := fmt.Sprint(m.GetLabel()); seen[key] {
				t.Errorf("%s: the labels %s are there twice", name, key)
			} else {
				seen[key] = true
			}
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = true
			}
		}
		lines = append(lines, fmt.Sprintf("%s %s {%s} %s", name, f.GetType(), strings.Join(slices.Sorted(maps.Keys(labels)), ","), f.GetHelp()))
	}
	slices.Sort(lines)
	got := strings.Join(lines, "\n") + "\n"
	want, err := os.ReadFile("testdata/metrics.txt")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("other than testdata/metrics.txt (-want +got):\n%s", diff)
	}
}

// checkHistogram checks that a histogram is well-formed.
func checkHistogram(t *testing.T, name string, f *dto.MetricFamily, count uint64) {
	t.Helper()
	if f.GetType() != dto.MetricType_HISTOGRAM || len(f.GetMetric()) != 1 {
		t.Errorf("%s: %v", name, f)
		return
	}
	h := f.GetMetric()[0].GetHistogram()
	if h.GetSampleCount() != count || !(h.GetSampleSum() > 0) {
		t.Errorf("%s: %d observations with sum %g, want %d", name, h.GetSampleCount(), h.GetSampleSum(), count)
	}
	var last float64
	var below uint64
	for _, b := range h.GetBucket() {
		if b.GetUpperBound() <= last || b.GetCumulativeCount() < below || b.GetCumulativeCount() > count {
			t.Errorf("%s: the bucket up to %g holds %d after %d", name, b.GetUpperBound(), b.GetCumulativeCount(), below)
		}
		last, below = b.GetUpperBound(), b.GetCumulativeCount()
	}
	if !math.IsInf(last, 1) {
		t.Errorf("%s: the last bucket reaches to %g", name, last)
	}
}
