package hub

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"trit/chat"
	"trit/sample"
)

// Derived is what a model of the store has beside the weights of another one, which it shares: the file
// NAME.derived, of at most 1 MiB.
type Derived struct {
	Name string `json:"name"`
	// From is the model that has the weights: its name, or the path of a file outside the store. Where
	// it is Name, they are NAME.gguf beside it.
	From   string `json:"from"`
	System string `json:"system,omitempty"` // what conversations begin with that have no system message
	// Template is a chat template in Jinja in place of the file's.
	Template string `json:"template,omitempty"`
	// Parameters are, by Ollama's names, options of a generation that holds where a request says nothing:
	// float64, or []string for stop. See [Derived.Number].
	Parameters map[string]any `json:"parameters,omitempty"`
	// Messages stand before those of every conversation.
	Messages []chat.Message `json:"messages,omitempty"`
	License  []string       `json:"license,omitempty"`
	Time     time.Time      `json:"created_at"`

	digest string
}

const derivedSuffix = ".derived"

// Parameters beside those of package sample.
const (
	ParameterStop    = "stop"        // texts that end an answer
	ParameterPredict = "num_predict" // tokens of an answer; 0 and less: as many as fit
	ParameterContext = "num_ctx"     // tokens of prompt and answer together
	ParameterSeed    = "seed"        // below 0: a new one each time
)

// runnerParameters say how Ollama's runner uses a machine. They are kept, and mean nothing here.
var runnerParameters = []string{"num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap", "use_mlock",
	"low_vram", "f16_kv", "numa", "vocab_only", "penalize_newline", "tfs_z", "draft_num_predict"}

// maxStops bounds the texts that end an answer.
const maxStops = 64

// Digest tells the description from others, as 64 hexadecimal digits.
func (d *Derived) Digest() string { return d.digest }

// Number returns a parameter that is a number, if the model has it.
func (d *Derived) Number(name string) (float64, bool) {
	if d == nil {
		return 0, false
	}
	x, ok := d.Parameters[name].(float64)
	return x, ok
}

// Stops returns the texts that end an answer.
func (d *Derived) Stops() []string {
	if d == nil {
		return nil
	}
	stops, _ := d.Parameters[ParameterStop].([]string)
	return stops
}

// Sampling changes sampling options as the parameters say.
func (d *Derived) Sampling(o *sample.Options) error {
	for name := range d.Parameters {
		x, number := d.Number(name)
		if p, ok := sample.LookupParam(name); ok && number {
			if err := p.Set(o, x); err != nil {
				return err
			}
		}
	}
	if seed, ok := d.Number(ParameterSeed); ok && seed >= 0 {
		o.Seed = new(uint64(seed))
	}
	return o.Validate()
}

// addParameter takes a parameter as people write it.
func (d *Derived) addParameter(name, text string) error {
	if text == "" {
		return fmt.Errorf("PARAMETER %s has no value", name)
	}
	if d.Parameters == nil {
		d.Parameters = map[string]any{}
	}
	if name == ParameterStop {
		d.Parameters[name] = append(d.Stops(), text)
		return nil
	}
	var value any = text
	if x, err := strconv.ParseFloat(text, 64); err == nil {
		value = x
	} else if b, err := strconv.ParseBool(text); err == nil {
		value = b
	}
	d.Parameters[name] = value
	return nil
}

// complete brings what JSON may hold into the types of the fields, and checks it.
func (d *Derived) complete() error {
	for name, value := range d.Parameters {
		checked, err := checkParameter(name, value)
		if err != nil {
			return fmt.Errorf("%w: parameter %.40q: %w", ErrModelfile, name, err)
		}
		d.Parameters[name] = checked
	}
	if o := sample.Default(); d.Parameters != nil {
		if err := d.Sampling(&o); err != nil {
			return fmt.Errorf("%w: parameters: %w", ErrModelfile, err)
		}
	}
	for i, m := range d.Messages {
		if !slices.Contains([]string{"system", "user", "assistant"}, m.Role) {
			return fmt.Errorf("%w: message %d has the role %.40q; want system, user or assistant", ErrModelfile, i+1, m.Role)
		}
	}
	if d.Template == "" {
		return nil
	}
	if goTemplate.MatchString(d.Template) {
		return fmt.Errorf("%w: TEMPLATE is a Go template (%s), which is Ollama's way to write one; leave it out to use "+
			"that of the model, or write it in Jinja, as models on the hub have it", ErrModelfile,
			goTemplate.FindString(d.Template))
	}
	if _, err := chat.Parse(d.Template); err != nil {
		return fmt.Errorf("%w: TEMPLATE: %w", ErrModelfile, err)
	}
	return nil
}

// goTemplate finds what a Go template has and Jinja has not: fields of the dot, and the blocks that stand
// between the braces of an expression.
var goTemplate = regexp.MustCompile(`\{\{-?\s*(\.[A-Za-z]|\$|(if|range|with|end|define|block|template|else)\b)[^}]*\}\}`)

// checkParameter returns a parameter in the type that Derived.Parameters has.
func checkParameter(name string, value any) (any, error) {
	if name == ParameterStop {
		stops, ok := value.([]string)
		if list, isList := value.([]any); isList {
			stops, ok = make([]string, len(list)), true
			for i, v := range list {
				if stops[i], ok = v.(string); !ok {
					break
				}
			}
		} else if text, isText := value.(string); isText {
			stops, ok = []string{text}, true
		}
		if !ok || slices.Contains(stops, "") || len(stops) > maxStops {
			return nil, fmt.Errorf("it is %.40q; want up to %d texts", fmt.Sprint(value), maxStops)
		}
		return stops, nil
	}
	if slices.Contains(runnerParameters, name) {
		switch value.(type) {
		case float64, bool, string:
			return value, nil
		}
		return nil, fmt.Errorf("it is %.40q; want a number, true or false", fmt.Sprint(value))
	}
	_, known := sample.LookupParam(name)
	whole := slices.Contains([]string{ParameterPredict, ParameterContext, ParameterSeed}, name)
	x, number := value.(float64)
	switch {
	case !known && !whole:
		return nil, errors.New("it is unknown; leave it out")
	case !number || math.IsNaN(x):
		return nil, fmt.Errorf("it is %.40q; want a number", fmt.Sprint(value))
	case whole && (x != math.Trunc(x) || math.Abs(x) > 1<<53):
		return nil, fmt.Errorf("it is %v; want a whole number", x)
	}
	return x, nil
}

// Create makes a model of the store of another one, whose weights it shares: d.From with what d says. What
// d.From is derived with itself counts where d says nothing; its parameters and those of d go together. An earlier
// derived model of the name is replaced. Errors wrap [ErrModelfile], [ErrName], [ErrNotFound] or [ErrExists].
func Create(d Derived) (*Model, error) {
	if err := checkName(d.Name); err != nil {
		return nil, err
	}
	d.Parameters = maps.Clone(d.Parameters)
	if err := d.complete(); err != nil {
		return nil, err
	}
	from, err := Resolve(d.From)
	if err != nil {
		return nil, err
	}
	if err := d.inherit(from); err != nil {
		return nil, err
	}
	p, err := placeOf(d.Name)
	if err != nil {
		return nil, err
	}
	l, err := p.claim(d.Name)
	if err != nil {
		return nil, err
	}
	err = d.write(p)
	if err = errors.Join(err, l.release()); err != nil {
		return nil, err
	}
	return Resolve(d.Name)
}

// inherit takes over what the model says that d is made of.
func (d *Derived) inherit(from *Model) error {
	d.From = from.Name
	if from.Source == File {
		path, err := filepath.Abs(from.Path)
		if err != nil {
			return fmt.Errorf("hub: %w", err)
		}
		d.From = path
	}
	old := from.Derived
	if old == nil {
		return nil
	}
	if d.From = old.From; old.From == old.Name {
		d.From = from.Name
	}
	if d.System == "" {
		d.System = old.System
	}
	if d.Template == "" {
		d.Template = old.Template
	}
	if d.Messages == nil {
		d.Messages = old.Messages
	}
	if d.License == nil {
		d.License = old.License
	}
	parameters := maps.Clone(old.Parameters)
	if parameters == nil {
		parameters = map[string]any{}
	}
	maps.Copy(parameters, d.Parameters)
	d.Parameters = parameters
	return nil
}

// write puts the file into the store.
func (d *Derived) write(p *place) error {
	old, err := stored(d.Name)
	switch {
	case err != nil:
		return err
	case old != nil && old.Name != d.Name:
		return fmt.Errorf("%w: %s is a model of the store in another case", ErrExists, old.Name)
	case old != nil && old.weighs() && d.From != d.Name:
		return fmt.Errorf("%w: %s has weights of its own (%s); remove it first, or choose another name", ErrExists, d.Name,
			old.Path)
	}
	d.Time = time.Now().UTC().Truncate(time.Second)
	data, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	if len(data) >= maxRecord {
		return fmt.Errorf("%w: it has %d bytes; want less than %d", ErrModelfile, len(data), maxRecord)
	}
	if err := writeJSON(p.derived, d); err != nil {
		return writeError(p.dir, err)
	}
	return nil
}

// readDerived reads a file NAME.derived. It is nil where there is none.
func readDerived(path string) (*Derived, error) {
	data, err := readRecord(path)
	if data == nil || err != nil {
		return nil, err
	}
	d := &Derived{}
	if err := json.Unmarshal(data, d); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrModelfile, path, err)
	}
	if err := d.complete(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	sum := sha256.Sum256(data)
	d.Name, d.digest = strings.TrimSuffix(filepath.Base(path), derivedSuffix), hex.EncodeToString(sum[:])
	return d, nil
}

// derivedModels lists the models of the store that are derived from known ones. What cannot be used is among them, and
// says why when it is opened.
func derivedModels(known []Model) []Model {
	dir, err := storeDir()
	if err != nil {
		return nil // no store, hence nothing in it
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // whoever lists the weights has said it
	}
	var models []Model
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), derivedSuffix)
		if !ok || name == "" || e.IsDir() || strings.HasPrefix(name, ".") {
			continue
		}
		m := Model{Name: name, Source: Store}
		if m.Derived, m.broken = readDerived(filepath.Join(dir, e.Name())); m.Derived == nil {
			models = append(models, m)
			continue
		}
		m.Description = "from " + m.Derived.From
		if m.base = m.Derived.base(known); m.base != nil {
			m.Path = m.base.Path
		} else {
			m.broken = fmt.Errorf("%w: %q is made of %q, which is not here; get that, or remove %[2]q", ErrNotFound, name,
				m.Derived.From)
		}
		models = append(models, m)
	}
	return models
}

// base finds the model that has the weights.
func (d *Derived) base(known []Model) *Model {
	if filepath.IsAbs(d.From) {
		if _, err := os.Stat(d.From); err != nil {
			return nil
		}
		return &Model{Name: d.From, Path: d.From, Source: File}
	}
	for _, m := range known {
		if m.Derived == nil && strings.EqualFold(m.Name, d.From) {
			return &m
		}
	}
	return nil
}

// madeOf returns the names of the models that share a model's weights.
func madeOf(name string) ([]string, error) {
	known, err := List()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range known {
		if m.Derived != nil && strings.EqualFold(m.Derived.From, name) && !strings.EqualFold(m.Name, name) {
			names = append(names, m.Name)
		}
	}
	return names, nil
}
