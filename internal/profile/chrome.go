package profile

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strconv"

	"trit/internal/model"
)

// chromeWriter writes frames in the Trace Event Format that chrome://tracing and
// ui.perfetto.dev open (Duran and others, "Trace Event Format", the JSON Object
// Format): complete events (ph X) with ts and dur in microseconds, one thread
// per worker, counters (ph C) and names as metadata (ph M). It holds one frame
// at a time.
//
// On each worker's track a step contains its layers, a layer its operations, and
// an operation what the worker did: "work" where it ran slices, "barrier" where
// it waited for the others or to be woken, "idle" where the first worker
// went on alone.
type chromeWriter struct {
	out   *bufio.Writer
	buf   []byte
	begin int64 // of the recording
	comma bool
	err   error
	steps int
}

// chromePid is the number of the only process of a trace.
const chromePid = 1

// shortest is the length in nanoseconds below which waiting is not drawn.
const shortest = 200

// newChromeWriter writes the head of a file. begin is the zero of its time.
func newChromeWriter(w io.Writer, name string, workers int, begin int64) *chromeWriter {
	c := &chromeWriter{out: bufio.NewWriterSize(w, 1<<16), begin: begin}
	c.buf = append(c.buf, "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n"...)
	c.metadata("process_name", -1, "name", jsonText("trit: "+name))
	for i := range workers {
		role := "worker " + strconv.Itoa(i)
		if i == 0 {
			role += " (runs the model)"
		}
		c.metadata("thread_name", i, "name", jsonText(role))
		c.metadata("thread_sort_index", i, "sort_index", strconv.Itoa(i))
	}
	c.flush()
	return c
}

// jsonText returns a JSON string.
func jsonText(s string) string {
	b, err := json.Marshal(s)
	if err != nil { // strings always have a form
		panic(err)
	}
	return string(b)
}

// frame writes all events of a frame.
func (c *chromeWriter) frame(f *frame) error {
	if c.err != nil {
		return c.err
	}
	if f.step {
		c.steps++
		c.counter("batch", f.begin, "rows", f.info.Rows, "sequences", f.info.Sequences)
	}
	for w := range f.workers {
		c.track(f, w)
	}
	if f.step {
		c.counter("batch", f.end, "rows", 0, "sequences", 0)
		c.counter("KV pages", f.end, "in use", f.result.Pages, "", 0)
	}
	c.flush()
	return c.err
}

// track writes a frame's events on a worker's track, each after the one that it is
// inside of.
func (c *chromeWriter) track(f *frame, worker int) {
	name := "step"
	if !f.step {
		name = "between steps"
	}
	c.span(name, "step", worker, f.begin, f.end)
	c.arg("step", c.steps)
	c.arg("rows", f.info.Rows)
	c.arg("sequences", f.info.Sequences)
	c.close()
	for i := 0; i < len(f.ops); {
		layer, first := f.ops[i].layer, i
		for i < len(f.ops) && f.ops[i].layer == layer {
			i++
		}
		group := f.ops[first:i]
		c.layer(layer, worker, group[0].begin, group[len(group)-1].end)
		for k := range group {
			c.operation(f, &group[k], worker)
		}
	}
}

func (c *chromeWriter) layer(layer, worker int, begin, end int64) {
	switch layer {
	case model.LayerIn:
		c.span("input", "layer", worker, begin, end)
	case model.LayerOut:
		c.span("output", "layer", worker, begin, end)
	default:
		c.event("X", "layer ", begin)
		c.buf = strconv.AppendInt(c.buf[:len(c.buf)-1], int64(layer), 10) // inside the quotes
		c.buf = append(c.buf, '"')
		c.rest("layer", worker, begin, end)
	}
	c.close()
}

// operation writes an operation and what the worker did in it.
func (c *chromeWriter) operation(f *frame, op *opEvent, worker int) {
	c.span(op.name, "operation", worker, op.begin, op.end)
	c.arg("rows", op.rows)
	c.close()
	at := op.begin
	for i := op.from; i < op.to; i++ {
		s, work := &f.sections[i], f.span(i, worker)
		if worker > 0 {
			c.waiting("idle", worker, at, s.begin)
		}
		at = s.end
		if work.slices == 0 {
			c.waiting("barrier", worker, s.begin, s.end)
			continue
		}
		c.waiting("barrier", worker, s.begin, work.begin)
		c.span("work", "work", worker, work.begin, work.end)
		c.arg("slices", int(work.slices))
		c.close()
		c.waiting("barrier", worker, work.end, s.end)
	}
	if worker > 0 {
		c.waiting("idle", worker, at, op.end)
	}
}

func (c *chromeWriter) waiting(name string, worker int, begin, end int64) {
	if end-begin >= shortest {
		c.span(name, "wait", worker, begin, end)
		c.color("grey")
		c.close()
	}
}

// end writes the end of the file: how many steps were left out, for example.
func (c *chromeWriter) end(other map[string]any) error {
	if c.err != nil {
		return c.err
	}
	data, err := json.Marshal(other)
	if err != nil {
		return err
	}
	c.buf = append(c.buf, "\n],\"otherData\":"...)
	c.buf = append(append(c.buf, data...), "}\n"...)
	c.flush()
	return c.err
}

// flush hands over what was written.
func (c *chromeWriter) flush() {
	if _, err := c.out.Write(c.buf); err != nil && c.err == nil {
		c.err = fmt.Errorf("profile: writing the trace: %w", err)
	}
	c.buf = c.buf[:0]
	if err := c.out.Flush(); err != nil && c.err == nil {
		c.err = fmt.Errorf("profile: writing the trace: %w", err)
	}
}

// event begins an event. Names are the program's own and need no escapes.
func (c *chromeWriter) event(ph, name string, ts int64) {
	if c.comma {
		c.buf = append(c.buf, ",\n"...)
	}
	c.comma = true
	c.buf = append(c.buf, `{"ph":"`...)
	c.buf = append(c.buf, ph...)
	c.buf = append(c.buf, `","pid":`...)
	c.buf = strconv.AppendInt(c.buf, chromePid, 10)
	c.buf = append(c.buf, `,"ts":`...)
	c.micros(ts - c.begin)
	c.buf = append(c.buf, `,"name":"`...)
	c.buf = append(c.buf, name...)
	c.buf = append(c.buf, '"')
}

// micros appends nanoseconds as microseconds.
func (c *chromeWriter) micros(ns int64) {
	if ns < 0 {
		c.buf = append(c.buf, '-')
		ns = -ns
	}
	c.buf = strconv.AppendInt(c.buf, ns/1000, 10)
	r := ns % 1000
	c.buf = append(c.buf, '.', byte('0'+r/100), byte('0'+r/10%10), byte('0'+r%10))
}

func (c *chromeWriter) span(name, cat string, worker int, begin, end int64) {
	c.event("X", name, begin)
	c.rest(cat, worker, begin, end)
}

// rest writes what all spans have after their name.
func (c *chromeWriter) rest(cat string, worker int, begin, end int64) {
	c.buf = append(c.buf, `,"cat":"`...)
	c.buf = append(c.buf, cat...)
	c.buf = append(c.buf, `","tid":`...)
	c.buf = strconv.AppendInt(c.buf, int64(worker), 10)
	c.buf = append(c.buf, `,"dur":`...)
	c.micros(end - begin)
}

func (c *chromeWriter) color(name string) {
	c.buf = append(c.buf, `,"cname":"`...)
	c.buf = append(c.buf, name...)
	c.buf = append(c.buf, '"')
}

// arg adds an argument. All arguments of an event follow each other, before close.
func (c *chromeWriter) arg(name string, value int) {
	if n := len(c.buf); c.buf[n-1] == '}' {
		c.buf = append(c.buf[:n-1], ',')
	} else {
		c.buf = append(c.buf, `,"args":{`...)
	}
	c.buf = append(c.buf, '"')
	c.buf = append(c.buf, name...)
	c.buf = append(c.buf, `":`...)
	c.buf = strconv.AppendInt(c.buf, int64(value), 10)
	c.buf = append(c.buf, '}')
}

func (c *chromeWriter) close() { c.buf = append(c.buf, '}') }

// counter writes one or two values that belong together.
func (c *chromeWriter) counter(name string, ts int64, first string, a int, second string, b int) {
	c.event("C", name, ts)
	c.arg(first, a)
	if second != "" {
		c.arg(second, b)
	}
	c.close()
}

// metadata names the process (thread −1) or a thread.
func (c *chromeWriter) metadata(kind string, thread int, key, value string) {
	c.event("M", kind, c.begin)
	if thread >= 0 {
		c.buf = append(c.buf, `,"tid":`...)
		c.buf = strconv.AppendInt(c.buf, int64(thread), 10)
	}
	c.buf = append(c.buf, `,"args":{"`...)
	c.buf = append(c.buf, key...)
	c.buf = append(c.buf, `":`...)
	c.buf = append(c.buf, value...)
	c.buf = append(c.buf, "}}"...)
}
