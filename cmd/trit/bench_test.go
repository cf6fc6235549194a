package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"trit/gguf"
	"trit/internal/model"
	"trit/internal/profile"
)

// quick are flags that keep a benchmark short.
var quick = []string{"-p", "8", "-n", "2", "-r", "1", "-t", "2"}

func init() { limitBytes, weightBytes = 8<<20, 4<<20 }

func bench(t testing.TB, args ...string) result {
	t.Helper()
	return runTrit(t, append(append([]string{"bench"}, quick...), args...)...)
}

func TestBench(t *testing.T) {
	bench(t, "--model", "demo").expect(t, exitOK, "demo", "prompt 8", "generate 2", "of bandwidth", "of int8 peak")

	svg := filepath.Join(t.TempDir(), "bench.svg")
	r := bench(t, "--shape", "tiny", "--type", "tq2_0", "--head-type", "q8_0", "--seed", "3", "--batch", "1,2,4", "--depth", "0,50",
		"--kv-type", "f32", "--kernel", "blocked", "--layout", "t2", "--head", "plain", "--svg", svg, "--json")
	r.expect(t, exitOK)
	var report profile.BenchReport
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		t.Fatalf("%v in %s", err, r.out)
	}
	if report.Layout != "t2" || report.Kernel != "blocked" || report.HeadMode != "plain" || report.HeadType != "Q8_0" || report.KVType != "f32" ||
		report.Prompt != 8 || report.Generate != 2 || report.Repeat != 1 || report.Threads != 2 {
		t.Errorf("report %+v", report)
	}
	if len(report.Batch) != 3 || report.Batch[2].N != 4 || len(report.Depth) != 2 || report.Depth[1].N != 50 {
		t.Errorf("batch %+v, depth %+v", report.Batch, report.Depth)
	}
	var fields map[string]any
	if err := json.Unmarshal([]byte(r.out), &fields); err != nil {
		t.Fatal(err)
	}
	for _, key := range strings.Fields(`prefill_tokens_per_second decode_tokens_per_second read_bandwidth_bytes_per_second int8_macs_per_second
		bytes_per_token decode_fraction_of_bandwidth prefill_fraction_of_int8_peak load_seconds peak_memory_bytes allocs_per_decode_step batch depth`) {
		if fields[key] == nil {
			t.Errorf("the JSON has no %s", key)
		}
	}
	drawing, err := os.ReadFile(svg)
	if err != nil || !strings.HasPrefix(string(drawing), "<svg") {
		t.Errorf("the drawing: %v, %.40q", err, drawing)
	}
	bench(t, "--shape", "tiny-llama", "--layout", "t5", "--kv-type", "int8", "--head", "coarse").expect(t, exitOK, "tiny-llama", "(t5)", "mode coarse")
}

// TestBenchThreads: a row for each number of threads, of which no more run than there are processors.
func TestBenchThreads(t *testing.T) {
	many := fmt.Sprint(runtime.GOMAXPROCS(0) + 3)
	args := []string{"bench", "--shape", "tiny", "-p", "8", "-n", "2", "-r", "1", "-t", "1," + many}
	runTrit(t, args...).expect(t, exitOK, "tiny", "threads workers", "\n      1       1 ", fmt.Sprintf("%7s %7d ", many, runtime.GOMAXPROCS(0)))
	var report threadsReport
	r := runTrit(t, append(args, "--json")...)
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		t.Fatalf("%v in %s", err, r.out)
	}
	if len(report.Asked) != 2 || len(report.Runs) != 2 || report.Runs[0].Threads != 1 || report.Runs[1].Threads != runtime.GOMAXPROCS(0) {
		t.Errorf("asked %v, %d runs", report.Asked, len(report.Runs))
	}
}

func TestBenchKernels(t *testing.T) {
	r := runTrit(t, "bench", "--kernels", "--shape", "tiny", "--json", "-t", "1")
	r.expect(t, exitOK)
	var report profile.KernelReport
	if err := json.Unmarshal([]byte(r.out), &report); err != nil || len(report.Results) == 0 || len(report.Limits) != 1 {
		t.Errorf("%v in %s", err, r.out)
	}
	if text := report.String(); !strings.Contains(text, "512 × 256: tiny") || !strings.Contains(text, "t5 basic") {
		t.Errorf("the table is\n%s", text)
	}
}

func TestBenchUsage(t *testing.T) {
	for _, test := range []struct {
		args    string
		mention string
	}{
		{"", "--model or --shape"},
		{"--model demo --shape tiny", "exclude"},
		{"--model demo --type f16", "--shape"},
		{"--model demo -p 0", "-p 0"},
		{"--model demo -t 2,0", "--threads 0"},
		{"--model demo -t -1", "--threads -1"},
		{"--model demo -t 1,2 --svg x.svg", "one number"},
		{"--kernels -t 1,2", "one number"},
		{"--model demo -n -1", "-n -1"},
		{"--model demo -r 0", "-r 0"},
		{"--model demo --batch 1,0", "--batch 0"},
		{"--model demo --depth -2", "--depth -2"},
		{"--model demo --batch 1,x", `--batch "1,x": want whole numbers with commas between them`},
		{"--model demo --kv-type q5", "--kv-type"},
		{"--model demo --kernel gpu", "--kernel"},
		{"--model demo --layout t3", "--layout"},
		{"--model demo --head tail", "--head"},
		{"--model demo extra", "extra"},
		{"--model demo -t -1", "--threads -1"},
		{"--model demo -t 1025", "--threads 1025"},
		{"--shape huge", "bitnet-2b"},
		{"--shape tiny --type q9", "i2_s"},
		{"--shape tiny --head-type i2_s", "q6_k"},
		{"--shape bitnet-3b --type tq2_0", "3200"},
		{"--kernels --model demo", "--kernels"},
		{"--kernels --depth 5", "--depth"},
		{"--kernels --shape huge", "bitnet-2b"},
		{"--nonsense", "nonsense"},
	} {
		runTrit(t, append([]string{"bench"}, strings.Fields(test.args)...)...).expect(t, exitUsage, test.mention, "trit bench --help")
	}
	runTrit(t, "bench", "--model", filepath.Join(t.TempDir(), "none.gguf")).expect(t, exitFailed, "none.gguf")
	bench(t, "--shape", "tiny", "--svg", filepath.Join(t.TempDir(), "none", "x.svg")).expect(t, exitFailed, "--svg")
}

func TestSynth(t *testing.T) {
	dir := t.TempDir()
	for _, kind := range []string{"i2_s", "tq1_0", "tq2_0", "f16"} {
		for _, head := range []string{"f16", "q6_k", "q8_0"} {
			path := filepath.Join(dir, kind+head+".gguf")
			r := runTrit(t, "synth", "--shape", "tiny", "--type", kind, "--head", head, path)
			r.expect(t, exitOK, path, "1.2 M ternary")
			f, err := gguf.Open(path)
			if err != nil {
				t.Fatal(err)
			}
			m, err := model.Load(f, model.LoadOptions{})
			if err != nil {
				t.Fatalf("%s %s: %v", kind, head, err)
			}
			if err := m.Close(); err != nil {
				t.Error(err)
			}
		}
	}
	// The file works in other commands, and a seed gives the same file again.
	path := filepath.Join(dir, "seed.gguf")
	r := runTrit(t, "synth", "--shape", "tiny-llama", "--seed", "9", path, "--json")
	r.expect(t, exitOK, `"seed": 9`, `"ternary_weights": 1179648`)
	first, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	runTrit(t, "synth", "--shape", "tiny-llama", "--seed", "9", "--force", path).expect(t, exitOK)
	if again, err := os.ReadFile(path); err != nil || string(again) != string(first) {
		t.Errorf("the same seed gives another file (%v)", err)
	}
	runTrit(t, "infer", "--model", path, "--prompt", "Hello", "--max-tokens", "3").expect(t, exitOK)

	for _, test := range []struct {
		args    []string
		mention string
	}{
		{nil, "one argument"},
		{[]string{"a", "b"}, "one argument"},
		{[]string{path}, "--shape"},
		{[]string{"--shape", "huge", path}, "llama3-8b"},
		{[]string{"--shape", "tiny", "--type", "q4_0", path}, "--type"},
		{[]string{"--shape", "tiny", "--head", "f32", path}, "--head"},
		{[]string{"--shape", "bitnet-3b", "--type", "tq1_0", path}, "3200"},
		{[]string{"--shape", "bitnet-3b", "--type", "f16", "--head", "q6_k", path}, "3200"},
	} {
		runTrit(t, append([]string{"synth"}, test.args...)...).expect(t, exitUsage, test.mention, "trit synth --help")
	}
	runTrit(t, "synth", "--shape", "tiny", filepath.Join(dir, "none", "x.gguf")).expect(t, exitFailed)
}
