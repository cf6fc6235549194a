package layers

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// stageDump is every stage of a reference implementation: NAME.stages.json
// lists them, NAME.stages.f32 beside it holds the values as little-endian
// float32, for each stage rows × width. This is the simplest thing that a
// port can write, a few lines in any language.
type stageDump struct {
	path   string
	stages []dumpedStage
	index  map[string]int
	rows   int
	values *os.File
	tokens []int32 // of manifest.json in the same folder; nil if there is none
	buf    []byte
	row    []float32
	at     int // of next
}

type dumpedStage struct {
	Stage  string `json:"stage"`  // "in.embedding", "0.q_rope"
	Offset int64  `json:"offset"` // in values
	Width  int64  `json:"width"`
}

const (
	maxDumpIndex = 64 << 20 // bytes
	maxDumpWidth = 1 << 26  // values
)

func openDump(path string, index io.Reader) (*stageDump, error) {
	d := &stageDump{path: path, index: map[string]int{}}
	if err := json.NewDecoder(io.LimitReader(index, maxDumpIndex)).Decode(&d.stages); err != nil {
		return nil, fmt.Errorf("%w: the list of stages: %w", ErrFile, err)
	}
	if len(d.stages) == 0 {
		return nil, fmt.Errorf("%w: the list of stages is empty", ErrFile)
	}
	values := strings.TrimSuffix(path, filepath.Ext(path)) + ".f32"
	var err error
	if d.values, err = os.Open(values); err != nil {
		return nil, fmt.Errorf("the values of the stages: %w", err)
	}
	if err = d.check(); err == nil {
		err = d.readTokens(filepath.Join(filepath.Dir(path), "manifest.json"))
	}
	if err != nil {
		return nil, errors.Join(err, d.values.Close())
	}
	return d, nil
}

// check finds out how many rows there are, and that all stages have them.
func (d *stageDump) check() error {
	info, err := d.values.Stat()
	if err != nil {
		return err
	}
	size := info.Size() / 4
	var widths int64
	for i, s := range d.stages {
		if s.Stage == "" || s.Width < 1 || s.Width > maxDumpWidth || s.Offset < 0 {
			return fmt.Errorf("%w: entry %d of the list: stage %q with offset %d and width %d", ErrFile, i, s.Stage, s.Offset, s.Width)
		}
		if _, twice := d.index[s.Stage]; twice {
			return fmt.Errorf("%w: stage %s is listed twice", ErrFile, s.Stage)
		}
		d.index[s.Stage] = i
		widths += s.Width
	}
	rows := size / widths
	if info.Size()%4 != 0 || size%widths != 0 || rows < 1 || rows > math.MaxInt32 {
		return fmt.Errorf("%w: %s has %d bytes, which is not a whole number of rows of the %d values of all stages", ErrFile, d.values.Name(), info.Size(), widths)
	}
	for _, s := range d.stages {
		if s.Offset > size || s.Width*rows > size-s.Offset {
			return fmt.Errorf("%w: stage %s: %d rows of %d values from %d on do not fit into the %d values of %s", ErrFile, s.Stage, rows, s.Width, s.Offset, size, d.values.Name())
		}
	}
	d.rows = int(rows)
	return nil
}

// readTokens takes the tokens from a manifest, if there is one for this number of
// rows.
func (d *stageDump) readTokens(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	var manifest struct {
		Tokens []int32 `json:"tokens"`
	}
	if err := json.NewDecoder(io.LimitReader(f, maxDumpIndex)).Decode(&manifest); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrFile, path, err)
	}
	if len(manifest.Tokens) == d.rows {
		d.tokens = manifest.Tokens
	}
	return nil
}

// record describes one row of a stage as a trace does; nil if the dump does not
// have the stage.
func (d *stageDump) record(stage string, token, samples int) (*Record, error) {
	i, ok := d.index[stage]
	if !ok {
		return nil, nil
	}
	if token < 0 || token >= d.rows {
		return nil, fmt.Errorf("%w: %s has %d rows, the trace has token %d", ErrNotComparable, d.path, d.rows, token)
	}
	s := d.stages[i]
	n := int(s.Width)
	d.buf = slices.Grow(d.buf[:0], 4*n)[:4*n]
	if _, err := d.values.ReadAt(d.buf, 4*(s.Offset+s.Width*int64(token))); err != nil {
		return nil, fmt.Errorf("%s: stage %s: %w", d.values.Name(), stage, err)
	}
	d.row = slices.Grow(d.row[:0], n)[:n]
	for k := range d.row {
		d.row[k] = math.Float32frombits(binary.LittleEndian.Uint32(d.buf[4*k:]))
	}
	r := &Record{}
	r.describe(stage, token, d.row, samples)
	return r, nil
}

// selected lists the dump's stages that lie in a trace's selection, or that the
// trace's model does not know, in order.
func (d *stageDump) selected(h *Header) []string {
	var names []string
	for _, s := range d.stages {
		layer, name := splitStage(s.Stage)
		if slices.Contains(h.Layers, layer) && (slices.Contains(h.Stages, name) || !slices.Contains(h.Known, name)) {
			names = append(names, s.Stage)
		}
	}
	return names
}

// splitStage cuts a full name into layer and stage.
func splitStage(full string) (layer, name string) {
	layer, name, _ = strings.Cut(full, ".")
	return layer, name
}
