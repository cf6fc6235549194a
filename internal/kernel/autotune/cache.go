package autotune

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"trit/internal/atomicfile"
	"trit/internal/kernel"
	"trit/internal/order"
	"trit/internal/ternary"
)

// kernelVersion changes when kernels change so much that measurements of older
// ones mislead.
const kernelVersion = 4

// cacheFormat marks the files that this package writes.
const cacheFormat = "trit kernel measurements"

// cacheLimit bounds the size of a file that is read.
const cacheLimit = 4 << 20

// cacheFile is the file's JSON. Machines that share a home directory share it.
type cacheFile struct {
	Format   string                  `json:"format"`
	Machines map[string]cacheMachine `json:"machines"` // by machineKey
}

type cacheMachine struct {
	Reads    []cacheRead    `json:"reads"`
	Products []cacheProduct `json:"products"`
}

// cacheRead is a Reading.
type cacheRead struct {
	Workers        int       `json:"workers"`
	BytesPerSecond float64   `json:"bytes_per_second"` // of all workers together
	Measured       time.Time `json:"measured"`
}

type cacheProduct struct {
	Cols      int     `json:"cols"`
	Tokens    int     `json:"tokens"`
	GroupCols int     `json:"group_cols,omitempty"`
	Layout    string  `json:"layout"`
	Variant   string  `json:"variant"`
	Seconds   float64 `json:"seconds"` // per panel of 16 rows
}

// machineKey names all that the times of products depend on.
func machineKey() string {
	return fmt.Sprintf("%s, %v, kernels v%d", kernel.CPUModel(), kernel.Active(), kernelVersion)
}

// load reads the file, once.
func (t *Tuner) load() {
	if t.loaded {
		return
	}
	t.loaded, t.times, t.reads = true, map[timeKey]float64{}, map[int]Reading{}
	if t.path == "" {
		return
	}
	file, err := readCache(t.path)
	if err != nil {
		t.warn(err)
		return
	}
	machine := file.Machines[machineKey()]
	times, err := machine.times()
	reads, readsErr := machine.readings()
	if err = cmp.Or(err, readsErr); err != nil {
		t.warn(fmt.Errorf("%w: %s: %w (delete the file to measure again)", ErrCache, t.path, err))
		return
	}
	t.keep, t.times, t.reads = true, times, reads
}

// readCache returns the file's contents, empty when it does not exist yet.
func readCache(path string) (cacheFile, error) {
	empty := cacheFile{Format: cacheFormat, Machines: map[string]cacheMachine{}}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return empty, nil
	}
	if err != nil {
		return empty, fmt.Errorf("%w: %w", ErrCache, err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, cacheLimit+1))
	if err != nil {
		return empty, fmt.Errorf("%w: %s: %w", ErrCache, path, err)
	}
	if len(data) > cacheLimit {
		return empty, fmt.Errorf("%w: %s: larger than %d bytes (delete the file to measure again)", ErrCache, path, cacheLimit)
	}
	file, err := parseCache(data)
	if err != nil {
		return empty, fmt.Errorf("%w: %s: %w", ErrCache, path, err)
	}
	return file, nil
}

func parseCache(data []byte) (cacheFile, error) {
	var file cacheFile
	if err := json.Unmarshal(data, &file); err != nil {
		return cacheFile{}, fmt.Errorf("%w (delete the file to measure again)", err)
	}
	if file.Format != cacheFormat {
		return cacheFile{}, fmt.Errorf("not written by this program: format %q, expected %q (name another file)", file.Format, cacheFormat)
	}
	if file.Machines == nil {
		file.Machines = map[string]cacheMachine{}
	}
	return file, nil
}

// times checks and converts a machine's measurements.
func (m cacheMachine) times() (map[timeKey]float64, error) {
	times := make(map[timeKey]float64, len(m.Products))
	for i, p := range m.Products {
		layout, err := ternary.ParseLayout(p.Layout)
		if err != nil {
			return nil, fmt.Errorf("product %d: %w", i, err)
		}
		variant, err := kernel.ParseVariant(p.Variant)
		if err != nil {
			return nil, fmt.Errorf("product %d: %w", i, err)
		}
		if p.Cols < 1 || p.Tokens < 1 || p.GroupCols < 0 || !(p.Seconds > 0) {
			return nil, fmt.Errorf("product %d: %d columns in groups of %d, %d tokens, %v seconds", i, p.Cols, p.GroupCols, p.Tokens, p.Seconds)
		}
		times[timeKey{p.Cols, p.Tokens, p.GroupCols, layout, variant}] = p.Seconds
	}
	return times, nil
}

// readings checks and converts what a machine has read.
func (m cacheMachine) readings() (map[int]Reading, error) {
	reads := make(map[int]Reading, len(m.Reads))
	for i, r := range m.Reads {
		if r.Workers < 1 || !(r.BytesPerSecond > 0) {
			return nil, fmt.Errorf("reading %d: %v bytes/s of %d workers", i, r.BytesPerSecond, r.Workers)
		}
		reads[r.Workers] = Reading{Workers: r.Workers, Rate: r.BytesPerSecond, Measured: r.Measured}
	}
	return reads, nil
}

// save merges the measurements into the file, which other processes may have
// written meanwhile, and replaces it in one step.
func (t *Tuner) save() {
	if !t.keep {
		return
	}
	if err := t.write(); err != nil {
		t.warn(err)
	}
}

func (t *Tuner) write() error {
	file, err := readCache(t.path)
	if err != nil {
		return err
	}
	machine := file.Machines[machineKey()]
	merged, err := machine.times()
	if err != nil {
		merged = map[timeKey]float64{}
	}
	maps.Copy(merged, t.times)
	reads, err := machine.readings()
	if err != nil {
		reads = map[int]Reading{}
	}
	// Of two measurements the later one tells more.
	for n, r := range t.reads {
		if !reads[n].Measured.After(r.Measured) {
			reads[n] = r
		}
	}
	machine = cacheMachine{}
	for _, n := range slices.Sorted(maps.Keys(reads)) {
		machine.Reads = append(machine.Reads, cacheRead{n, reads[n].Rate, reads[n].Measured})
	}
	for key, seconds := range merged {
		machine.Products = append(machine.Products, cacheProduct{key.cols, key.tokens, key.groupCols, key.layout.String(), key.variant.String(), seconds})
	}
	order.Stable(machine.Products, func(a, b cacheProduct) int {
		return strings.Compare(a.sortKey(), b.sortKey())
	})
	file.Machines[machineKey()] = machine
	data, err := json.MarshalIndent(file, "", "  ")
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCache, t.path, err)
	}
	if err := os.MkdirAll(filepath.Dir(t.path), 0o755); err != nil {
		return fmt.Errorf("%w: %w", ErrCache, err)
	}
	if err := atomicfile.Write(t.path, append(data, '\n'), 0o666); err != nil {
		return fmt.Errorf("%w: %w", ErrCache, err)
	}
	return nil
}

func (p cacheProduct) sortKey() string {
	return fmt.Sprintf("%9d %9d %9d %s %s", p.Cols, p.Tokens, p.GroupCols, p.Layout, p.Variant)
}
