package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"trit/hub"
	"trit/internal/profile"
)

func TestProfile(t *testing.T) {
	dir := t.TempDir()
	svg, trace := filepath.Join(dir, "p.svg"), filepath.Join(dir, "p.json")
	quick := []string{"profile", "-p", "20", "-n", "5", "-r", "1", "-t", "2"}
	runTrit(t, append(quick, "--model", "demo", "--svg", svg, "--trace", trace, "--layers")...).
		expect(t, exitOK, "demo", "prompt: 1 steps of 20 tokens", "decode: 5 steps of one token", "gate, up", "sampling", "barrier", "scratch", "decode, by layer")
	drawing, err := os.ReadFile(svg)
	if err != nil || !strings.HasPrefix(string(drawing), "<svg") {
		t.Errorf("the drawing: %v, %.40q", err, drawing)
	}
	if n := tracedSteps(t, trace); n != 6 {
		t.Errorf("the trace has %v steps, want 6", n)
	}

	r := runTrit(t, append(quick, "--shape", "tiny", "--type", "tq2_0", "--head-type", "q8_0", "--kv-type", "int8", "--layout", "t5", "--head", "coarse",
		"--kernel", "blocked", "--temperature", "0.8", "--top-k", "20", "--top-p", "0.9", "--json")...)
	r.expect(t, exitOK)
	var report profile.ProfileReport
	if err := json.Unmarshal([]byte(r.out), &report); err != nil {
		t.Fatalf("%v in %s", err, r.out)
	}
	if report.Layout != "t5" || report.HeadMode != "coarse" || report.KVType != "int8" || report.Kernel != "blocked" || report.Threads != 2 || len(report.Phases) != 2 {
		t.Errorf("report %+v", report)
	}
}

// tracedSteps returns the number of steps that a trace says that it has.
func tracedSteps(t testing.TB, path string) float64 {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		TraceEvents []map[string]any
		OtherData   map[string]float64
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.TraceEvents) == 0 {
		t.Error("the trace is empty")
	}
	return file.OtherData["steps"]
}

func TestProfileUsage(t *testing.T) {
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "--model or --shape"},
		{[]string{"--model", "demo", "--shape", "tiny"}, "exclude"},
		{[]string{"--model", "demo", "--seed", "3"}, "--shape"},
		{[]string{"--model", "demo", "--iterations", "0"}, "--iterations"},
		{[]string{"--model", "demo", "--prompt-tokens", "-3"}, "--prompt-tokens"},
		{[]string{"--model", "demo", "--repetitions", "0"}, "--repetitions"},
		{[]string{"--model", "demo", "--kv-type", "f8"}, "--kv-type"},
		{[]string{"--model", "demo", "--kernel", "x"}, "--kernel"},
		{[]string{"--model", "demo", "--layout", "x"}, "--layout"},
		{[]string{"--model", "demo", "--head", "x"}, "--head"},
		{[]string{"--model", "demo", "--top-p", "7"}, "top"},
		{[]string{"--shape", "huge"}, "--shape"},
		{[]string{"demo", "more"}, "more"},
	} {
		runTrit(t, append([]string{"profile"}, test.args...)...).expect(t, exitUsage, test.want, "trit profile --help")
	}
	none := filepath.Join(t.TempDir(), "none", "x")
	runTrit(t, "profile", "-n", "1", "-p", "1", "-r", "1", "--model", "demo", "--trace", none).expect(t, exitFailed, "--trace")
	runTrit(t, "profile", "-n", "1", "-p", "1", "-r", "1", "--model", "demo", "--svg", none).expect(t, exitFailed, "--svg")
	runTrit(t, "profile", "--help").expect(t, exitOK, "Examples:", "trit profile --model demo", "ui.perfetto.dev")
}

// TestProfileInterrupted stops a long profile: its trace is complete.
func TestProfileInterrupted(t *testing.T) {
	t.Setenv(hub.HomeEnv, t.TempDir())
	trace := filepath.Join(t.TempDir(), "p.json")
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		// Once there are steps in the trace.
		for {
			if info, err := os.Stat(trace); err == nil && info.Size() > 100_000 {
				cancel()
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	var out, errOut bytes.Buffer
	code := run(ctx, []string{"profile", "--model", "demo", "-n", "100000", "-p", "20", "--trace", trace}, strings.NewReader(""), &out, &errOut)
	if code != exitInterrupted || !strings.Contains(errOut.String(), "interrupted") {
		t.Errorf("exit code %d, %s", code, errOut.String())
	}
	if tracedSteps(t, trace) < 1 {
		t.Error("the trace has no steps")
	}
}

func TestInferTrace(t *testing.T) {
	trace := filepath.Join(t.TempDir(), "infer.json")
	r := runTrit(t, "infer", "--model", "demo", "-p", "Once upon a time", "--greedy", "-n", "5", "--trace", trace)
	r.expect(t, exitOK, "there was")
	if n := tracedSteps(t, trace); n != 5 {
		t.Errorf("%v steps, want 5", n)
	}
	runTrit(t, "infer", "--model", "demo", "-p", "Once", "-n", "2", "--trace", filepath.Join(t.TempDir(), "none", "x")).expect(t, exitFailed, "--trace")
}
