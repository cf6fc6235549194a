package ollama

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"trit/gguf"
	"trit/hub"
	"trit/sample"
	"trit/server/core"
)

// modelDetails are the words that Ollama has for the kind of a model.
type modelDetails struct {
	ParentModel       string   `json:"parent_model"`
	Format            string   `json:"format"`
	Family            string   `json:"family"`
	Families          []string `json:"families"`
	ParameterSize     string   `json:"parameter_size"`
	QuantizationLevel string   `json:"quantization_level"`
}

type listedModel struct {
	Name       string       `json:"name"`
	Model      string       `json:"model"`
	ModifiedAt time.Time    `json:"modified_at"`
	Size       int64        `json:"size"`
	Digest     string       `json:"digest"`
	Details    modelDetails `json:"details"`
}

type runningModel struct {
	Name          string       `json:"name"`
	Model         string       `json:"model"`
	Size          int64        `json:"size"`
	Digest        string       `json:"digest"`
	Details       modelDetails `json:"details"`
	ExpiresAt     time.Time    `json:"expires_at"`
	SizeVRAM      int64        `json:"size_vram"`
	ContextLength int          `json:"context_length"`
}

type shownModel struct {
	License      string         `json:"license,omitempty"`
	Modelfile    string         `json:"modelfile"`
	Parameters   string         `json:"parameters"`
	Template     string         `json:"template"`
	Details      modelDetails   `json:"details"`
	ModelInfo    map[string]any `json:"model_info"`
	Tensors      []shownTensor  `json:"tensors,omitempty"`
	Capabilities []string       `json:"capabilities"`
	ModifiedAt   time.Time      `json:"modified_at"`
}

type shownTensor struct {
	Name  string  `json:"name"`
	Type  string  `json:"type"`
	Shape []int64 `json:"shape"`
}

// tags lists the models that requests may name.
func (a *api) tags(w http.ResponseWriter, r *http.Request) error {
	served, err := a.Models.List()
	if err != nil {
		return err
	}
	models := []listedModel{}
	for _, m := range served {
		info, err := a.about.get(m.Hub)
		if err != nil {
			a.Log.Warn("a model is left out of the list", "model", m.Name, "error", err)
			continue
		}
		for _, name := range append([]string{m.Name}, m.Aliases...) {
			models = append(models, listedModel{
				Name: taggedName(name), Model: taggedName(name), ModifiedAt: a.modified(info),
				Size: info.details.Size, Digest: info.digest, Details: info.words(),
			})
		}
	}
	return core.WriteJSON(w, http.StatusOK, map[string]any{"models": models})
}

// running lists the models that are loaded.
func (a *api) running(w http.ResponseWriter, r *http.Request) error {
	models := []runningModel{}
	now := time.Now()
	a.Models.Each(func(l *core.Loaded) {
		m := runningModel{Name: l.Name, Size: l.Charge, ContextLength: l.Model.Context()}
		at, forever := l.Expires()
		if forever {
			at = now.Add(math.MaxInt64) // as Ollama says it
		}
		m.ExpiresAt = at.UTC()
		models = append(models, m)
	})
	for i := range models {
		m := &models[i]
		if found, err := a.Models.Resolve(m.Name); err == nil { // its file may have been deleted meanwhile
			info, err := a.about.get(found)
			if err != nil {
				return err
			}
			m.Digest, m.Details = info.digest, info.words()
		}
		m.Name = taggedName(m.Name)
		m.Model = m.Name
	}
	return core.WriteJSON(w, http.StatusOK, map[string]any{"models": models})
}

// namedModel is the part of a request that names a model of the store.
type namedModel struct {
	Model string `json:"model"`
	Name  string `json:"name"` // what model was once called
}

func (m namedModel) name() string { return cmp.Or(m.Model, m.Name) }

// show tells what a model's file says about it.
func (a *api) show(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		namedModel
		Verbose bool `json:"verbose"`
	}
	if err := core.ReadJSON(r, &q); err != nil {
		return err
	}
	m, err := a.find(q.name())
	if err != nil {
		return err
	}
	info, err := a.about.get(m)
	if err != nil {
		return err
	}
	answer := shownModel{
		License: info.details.License, Template: info.details.ChatTemplate, Details: info.words(),
		Parameters: info.parameters, Modelfile: "FROM " + taggedName(m.Name) + "\n", ModelInfo: map[string]any{},
		Capabilities: []string{"completion", "tools"}, ModifiedAt: a.modified(info),
	}
	for line := range strings.Lines(info.parameters) {
		answer.Modelfile += "PARAMETER " + line
	}
	f, err := m.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	for key, v := range f.Metadata.All() {
		answer.ModelInfo[key] = metadataJSON(v, q.Verbose)
	}
	answer.ModelInfo["general.parameter_count"] = info.details.Parameters
	if q.Verbose {
		for _, t := range f.Tensors {
			answer.Tensors = append(answer.Tensors, shownTensor{Name: t.Name, Type: t.Type.String(), Shape: t.Dims})
		}
	}
	return core.WriteJSON(w, http.StatusOK, answer)
}

// metadataJSON returns a value as JSON can hold it. Lists are left out unless
// they are asked for: a vocabulary has megabytes.
func metadataJSON(v gguf.Value, lists bool) any {
	switch x := v.Any().(type) {
	case float32: // which JSON writes with fewer digits than a float64
		if y := float64(x); math.IsNaN(y) || math.IsInf(y, 0) {
			return fmt.Sprint(x)
		}
		return x
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return fmt.Sprint(x)
		}
		return x
	case string, bool, int8, int16, int32, int64, uint8, uint16, uint32, uint64:
		return x
	}
	if !lists {
		return nil
	}
	out := []any{}
	for _, e := range v.All() {
		out = append(out, metadataJSON(e, true))
	}
	return out
}

// copy gives a model of the store another name.
func (a *api) copy(w http.ResponseWriter, r *http.Request) error {
	var q struct {
		Source      string `json:"source"`
		Destination string `json:"destination"`
	}
	if err := core.ReadJSON(r, &q); err != nil {
		return err
	}
	if q.Source == "" || q.Destination == "" {
		return core.BadRequest("destination", "source and destination are required")
	}
	source, err := a.find(q.Source)
	if err != nil {
		return err
	}
	// The file's name on the disk may be another one than clients use.
	from, destination := source.Path, strings.TrimSuffix(q.Destination, latest)
	if source.Source == hub.Store || source.Source == hub.Embedded {
		from = source.Name
	}
	if old, err := a.Models.Resolve(destination); err == nil && sameFile(source.Path, old.Path) {
		w.WriteHeader(http.StatusOK) // it is a copy already
		return nil
	}
	if err := a.Models.Drop(r.Context(), destination); err != nil {
		return err
	}
	if _, err := hub.Copy(r.Context(), from, destination, true); err != nil {
		return storeError(err)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

func sameFile(a, b string) bool {
	x, err := os.Stat(a)
	y, err2 := os.Stat(b)
	return err == nil && err2 == nil && os.SameFile(x, y)
}

// remove deletes a model of the store.
func (a *api) remove(w http.ResponseWriter, r *http.Request) error {
	var q namedModel
	if err := core.ReadJSON(r, &q); err != nil {
		return err
	}
	m, err := a.find(q.name())
	if err != nil {
		return err
	}
	if err := a.Models.Drop(r.Context(), m.Name); err != nil {
		return err
	}
	if _, err := hub.Remove(m.Name); err != nil {
		return storeError(err)
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// modelInfo is what a model's file says, and how to tell it from others.
type modelInfo struct {
	details    *hub.Details
	parameters string // the sampling options that the file recommends, a line each
	digest     string
	modified   time.Time // zero for the embedded model
}

// modelInfoCache keeps what has been read from files, until they change.
type modelInfoCache struct {
	mu    sync.Mutex
	known map[string]*modelInfo // by digest of the file's place, size and time
}

// maxModelInfos bounds the cache; there are seldom more models.
const maxModelInfos = 256

func (c *modelInfoCache) get(m *hub.Model) (*modelInfo, error) {
	identity, modified := "embedded", time.Time{}
	if m.Path != "" {
		stat, err := os.Stat(m.Path)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", hub.ErrNotFound, err)
		}
		modified = stat.ModTime().UTC()
		identity = fmt.Sprintf("%s %d %d", m.Path, stat.Size(), modified.UnixNano())
	}
	sum := sha256.Sum256([]byte(m.Name + " " + identity))
	key := hex.EncodeToString(sum[:])
	c.mu.Lock()
	info := c.known[key]
	c.mu.Unlock()
	if info != nil {
		return info, nil
	}
	details, err := hub.Describe(m)
	if err != nil {
		return nil, err
	}
	info = &modelInfo{details: details, digest: key, modified: modified}
	if details.Origin != nil && details.Origin.SHA256 != "" {
		info.digest = details.Origin.SHA256
	}
	if info.parameters, err = recommended(m); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxModelInfos {
		c.known = map[string]*modelInfo{}
	}
	c.known[key] = info
	return info, nil
}

// recommended returns the sampling options in a model's file, in the form of a
// Modelfile's parameters.
func recommended(m *hub.Model) (string, error) {
	f, err := m.Open()
	if err != nil {
		return "", err
	}
	defer f.Close()
	var b strings.Builder
	for _, p := range sample.Params() {
		if v, ok := f.Metadata.Get(p.Key()); ok && p.Recommended {
			fmt.Fprintf(&b, "%s %v\n", p.Name, v.Any())
		}
	}
	return b.String(), nil
}

// words describes a model as Ollama does.
func (i *modelInfo) words() modelDetails {
	return modelDetails{
		Format: "gguf", Family: i.details.Architecture, Families: []string{i.details.Architecture},
		ParameterSize: parameterSize(i.details.Parameters), QuantizationLevel: i.details.Type,
	}
}

// modified returns when a model came to be where it is. The embedded one came
// with the program.
func (a *api) modified(i *modelInfo) time.Time {
	if i.modified.IsZero() {
		return a.Started.UTC()
	}
	return i.modified
}

// parameterSize writes a number of parameters as Ollama does.
func parameterSize(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1fB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.2fM", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1fK", float64(n)/1e3)
	}
	return fmt.Sprint(n)
}
