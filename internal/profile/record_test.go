package profile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"trit/internal/engine"
	"trit/internal/head"
	"trit/internal/model"
	"trit/internal/model/synth"
	"trit/internal/race"
)

// traceEvent is an event of the Trace Event Format.
type traceEvent struct {
	Ph   string         `json:"ph"`
	Name *string        `json:"name"`
	Cat  string         `json:"cat"`
	Pid  *int           `json:"pid"`
	Tid  *int           `json:"tid"`
	Ts   *float64       `json:"ts"`
	Dur  *float64       `json:"dur"`
	Args map[string]any `json:"args"`
	CN   string         `json:"cname"`
}

// traceFile is a trace that keeps to the format.
type traceFile struct {
	spans    map[int][]traceEvent // per thread, in the order of the file
	counters map[string][]traceEvent
	threads  map[int]string
	other    map[string]float64
}

// parseTrace reads a trace and checks the rules of the format: which members an
// event of each kind must have, that threads are named, and that the spans of a
// thread are inside one another or apart, outer ones first.
func parseTrace(data []byte) (*traceFile, error) {
	var file struct {
		Unit   string             `json:"displayTimeUnit"`
		Events []traceEvent       `json:"traceEvents"`
		Other  map[string]float64 `json:"otherData"`
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&file); err != nil {
		return nil, err
	}
	if dec.More() {
		return nil, errors.New("something follows the object")
	}
	if file.Unit != "ms" && file.Unit != "ns" {
		return nil, fmt.Errorf("displayTimeUnit %q", file.Unit)
	}
	t := &traceFile{spans: map[int][]traceEvent{}, counters: map[string][]traceEvent{}, threads: map[int]string{}, other: file.Other}
	process := false
	for i, e := range file.Events {
		if e.Name == nil || *e.Name == "" || e.Pid == nil || e.Ts == nil || *e.Ts < 0 {
			return nil, fmt.Errorf("event %d: %+v has no name, pid or ts", i, e)
		}
		switch e.Ph {
		case "M":
			if e.Args == nil {
				return nil, fmt.Errorf("event %d: metadata without args", i)
			}
			switch *e.Name {
			case "process_name":
				process = e.Args["name"] != ""
			case "thread_name":
				t.threads[*e.Tid], _ = e.Args["name"].(string)
			case "thread_sort_index":
			default:
				return nil, fmt.Errorf("event %d: metadata %q", i, *e.Name)
			}
		case "X":
			if e.Tid == nil || e.Dur == nil || *e.Dur < 0 || e.Cat == "" {
				return nil, fmt.Errorf("event %d: span %q has no tid, dur or cat", i, *e.Name)
			}
			t.spans[*e.Tid] = append(t.spans[*e.Tid], e)
		case "C":
			if len(e.Args) == 0 {
				return nil, fmt.Errorf("event %d: counter without args", i)
			}
			for k, v := range e.Args {
				if _, ok := v.(float64); !ok {
					return nil, fmt.Errorf("event %d: counter %s is %v", i, k, v)
				}
			}
			t.counters[*e.Name] = append(t.counters[*e.Name], e)
		default:
			return nil, fmt.Errorf("event %d: phase %q", i, e.Ph)
		}
	}
	if !process {
		return nil, errors.New("the process has no name")
	}
	for thread, spans := range t.spans {
		if t.threads[thread] == "" {
			return nil, fmt.Errorf("thread %d has no name", thread)
		}
		if err := checkNesting(spans); err != nil {
			return nil, fmt.Errorf("thread %d: %w", thread, err)
		}
	}
	return t, nil
}

// depthOf says which categories contain which.
var depthOf = map[string]int{"step": 0, "layer": 1, "operation": 2, "work": 3, "wait": 3}

func checkNesting(spans []traceEvent) error {
	nanos := func(x float64) int64 { return int64(x*1000 + 0.5) }
	type open struct {
		name string
		end  int64
		cat  string
	}
	var stack []open
	last := int64(-1)
	for i, s := range spans {
		begin, end := nanos(*s.Ts), nanos(*s.Ts)+nanos(*s.Dur)
		depth, known := depthOf[s.Cat]
		if !known {
			return fmt.Errorf("span %d: category %q", i, s.Cat)
		}
		if begin < last {
			return fmt.Errorf("span %d %q begins before the one above it", i, *s.Name)
		}
		last = begin
		if len(stack) < depth {
			return fmt.Errorf("span %d %q (%s) is in %d others", i, *s.Name, s.Cat, len(stack))
		}
		for _, closed := range stack[depth:] {
			if begin < closed.end {
				return fmt.Errorf("span %d %q begins at %d, within %q, which ends at %d", i, *s.Name, begin, closed.name, closed.end)
			}
		}
		stack = stack[:depth]
		if depth > 0 && end > stack[depth-1].end {
			return fmt.Errorf("span %d %q ends at %d, after %q, at %d", i, *s.Name, end, stack[depth-1].name, stack[depth-1].end)
		}
		stack = append(stack, open{*s.Name, end, s.Cat})
	}
	return nil
}

// tinyScheduler runs a tiny model.
func tinyScheduler(t testing.TB, o engine.Options) *engine.Scheduler {
	t.Helper()
	e, err := engine.New(tinyModel(t, "tiny", synth.Options{}, model.LoadOptions{}), o)
	if err != nil {
		t.Fatal(err)
	}
	s := engine.NewScheduler(e)
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// generate runs a prompt and some tokens on a new session.
func generateSome(t testing.TB, s *engine.Scheduler, prompt, tokens int) {
	t.Helper()
	c, err := s.NewSession()
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	sel := &head.Selector{K: 1}
	next := make([]int32, prompt)
	for i := range next {
		next[i] = int32(i % 50)
	}
	for range tokens {
		if err := c.Select(context.Background(), next, sel); err != nil {
			t.Error(err)
			return
		}
		next = append(next[:0], sel.Tokens[0])
	}
}

func TestRecording(t *testing.T) {
	for _, threads := range []int{1, 2} {
		s := tinyScheduler(t, engine.Options{Threads: threads})
		layers := s.Engine().Model().Config.Layers
		var buf bytes.Buffer
		r, err := StartRecording(s, &buf, RecordOptions{Name: "a \"model\""})
		if err != nil {
			t.Fatal(err)
		}
		if err := Record(context.Background(), s, io.Discard, time.Second); !errors.Is(err, engine.ErrTraced) {
			t.Errorf("a second recording: %v", err)
		}
		before := s.Steps()
		generateSome(t, s, 40, 6)
		steps := int(s.Steps() - before)
		if err := r.Stop(); err != nil {
			t.Fatal(err)
		}
		if err := r.Stop(); err != nil {
			t.Errorf("stopping twice: %v", err)
		}
		generateSome(t, s, 4, 2)
		trace, err := parseTrace(buf.Bytes())
		if err != nil {
			t.Fatalf("%d threads: %v\n%.2000s", threads, err, buf.Bytes())
		}
		if len(trace.spans) != threads || len(trace.threads) != threads {
			t.Fatalf("%d tracks, %d names, want %d", len(trace.spans), len(trace.threads), threads)
		}
		if trace.other["steps"] != float64(steps) || trace.other["steps_left_out"] != 0 {
			t.Errorf("%v, want %d steps", trace.other, steps)
		}
		if n := len(trace.counters["batch"]); n != 2*steps {
			t.Errorf("%d values of the batch, want %d", n, 2*steps)
		}
		if n := len(trace.counters["KV pages"]); n != steps || trace.counters["KV pages"][0].Args["in use"].(float64) < 1 {
			t.Errorf("%d values of the pages, want %d", n, steps)
		}
		// Every worker has every layer and every stage of every step.
		for w, spans := range trace.spans {
			count := map[string]int{}
			for _, s := range spans {
				count[*s.Name]++
			}
			want := map[string]int{"step": steps, "input": steps, "output": steps, "output_norm": steps, "embedding": steps}
			for i := range layers {
				want[fmt.Sprintf("layer %d", i)] = steps
			}
			for _, op := range []string{
				"attn_norm", "attn_q+attn_k+attn_v", "q_rope", "k_rope", engine.OpStore, engine.OpAttention, "attn_sub_norm",
				"attn_output", "attn_residual", "ffn_norm", "ffn_gate+ffn_up", "gated", "ffn_sub_norm", "ffn_down", "ffn_residual",
			} {
				want[op] = layers * steps
			}
			want[model.OpQuantize] = 4 * layers * steps
			for name, n := range want {
				if count[name] != n {
					t.Errorf("worker %d: %d spans %q, want %d", w, count[name], name, n)
				}
			}
			if w == 0 && count["work"] == 0 || w == 1 && count["idle"] == 0 {
				t.Errorf("worker %d: %v", w, count)
			}
		}
	}
}

// TestTraceRulesCanFail breaks a trace in ways that parseTrace must notice.
func TestTraceRulesCanFail(t *testing.T) {
	s := tinyScheduler(t, engine.Options{Threads: 2})
	var buf bytes.Buffer
	r, err := StartRecording(s, &buf, RecordOptions{})
	if err != nil {
		t.Fatal(err)
	}
	generateSome(t, s, 20, 2)
	if err := r.Stop(); err != nil {
		t.Fatal(err)
	}
	good := buf.String()
	if _, err := parseTrace([]byte(good)); err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(good, "\n")
	swapped := slices.Clone(lines)
	layer := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, `"name":"layer 0"`) })
	swapped[layer], swapped[layer+1] = swapped[layer+1], swapped[layer]
	for name, bad := range map[string]string{
		"cut":         good[:len(good)/2],
		"no dur":      strings.Replace(good, `"dur"`, `"dura"`, 1),
		"no name":     strings.Replace(good, `"name":"layer 0"`, `"name":""`, 1),
		"unnamed":     strings.ReplaceAll(good, `"name":"thread_name"`, `"name":"thread_sort_index"`),
		"phase":       strings.Replace(good, `"ph":"X"`, `"ph":"Q"`, 1),
		"inner first": strings.Join(swapped, ""),
	} {
		if _, err := parseTrace([]byte(bad)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// slowWriter keeps the writer busy.
type slowWriter struct {
	bytes.Buffer
	delay time.Duration
}

func (w *slowWriter) Write(p []byte) (int, error) {
	time.Sleep(w.delay)
	return w.Buffer.Write(p)
}

// TestRecord records a window of a scheduler with clients, for a slow reader.
func TestRecord(t *testing.T) {
	s := tinyScheduler(t, engine.Options{Threads: 2})
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 3 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					generateSome(t, s, 10, 20)
				}
			}
		})
	}
	w := &slowWriter{delay: 10 * time.Millisecond}
	if err := Record(context.Background(), s, w, 300*time.Millisecond); err != nil {
		t.Error(err)
	}
	close(stop)
	clients.Wait()
	trace, err := parseTrace(w.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if trace.other["steps"] < 5 || trace.other["steps_left_out"] < 1 && !race.Enabled {
		t.Errorf("%v: a slow reader of a fast model must lose steps", trace.other)
	}
}

func TestRecordEnds(t *testing.T) {
	s := tinyScheduler(t, engine.Options{Threads: 1})
	if err := Record(context.Background(), s, io.Discard, 0); !errors.Is(err, ErrRecord) {
		t.Errorf("no time: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		time.Sleep(20 * time.Millisecond)
		cancel()
	}()
	var buf bytes.Buffer
	if err := Record(ctx, s, &buf, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if trace, err := parseTrace(buf.Bytes()); err != nil || len(trace.spans) != 0 {
		t.Errorf("a cancelled recording of nothing: %v", err)
	}
	if err := Record(ctx, s, io.Discard, time.Hour); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
	broken := errors.New("broken pipe")
	if err := Record(context.Background(), s, failAfter{broken}, time.Hour); !errors.Is(err, broken) {
		t.Errorf("a writer that fails: %v", err)
	}
	// The recording goes on until the scheduler is closed under it.
	r, err := StartRecording(s, &buf, RecordOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Stop(); err != nil {
		t.Errorf("after the scheduler was closed: %v", err)
	}
	if err := Record(context.Background(), s, io.Discard, time.Hour); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("a closed scheduler: %v", err)
	}
}

type failAfter struct{ err error }

func (f failAfter) Write([]byte) (int, error) { return 0, f.err }
