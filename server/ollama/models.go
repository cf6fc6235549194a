package ollama

import (
	"cmp"
	"fmt"
	"math"
	"net/http"
	"os"
	"strings"
	"time"

	"trit/gguf"
	"trit/hub"
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
	ContextLength     int      `json:"context_length,omitempty"`
	EmbeddingLength   int64    `json:"embedding_length,omitempty"`
}

type listedModel struct {
	Name       string       `json:"name"`
	Model      string       `json:"model"`
	ModifiedAt time.Time    `json:"modified_at"`
	Size       int64        `json:"size"`
	Digest     string       `json:"digest"`
	Details    modelDetails `json:"details"`
	// Capabilities is llama-server's too, whose list has Ollama's models beside OpenAI's.
	Capabilities []string `json:"capabilities"`
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
	System       string         `json:"system,omitempty"`
	Messages     []shownMessage `json:"messages,omitempty"`
	Details      modelDetails   `json:"details"`
	ModelInfo    map[string]any `json:"model_info"`
	Tensors      []shownTensor  `json:"tensors,omitempty"`
	Capabilities []string       `json:"capabilities"`
	ModifiedAt   time.Time      `json:"modified_at"`
}

type shownMessage struct {
	Role    string `json:"role"`
	Content string `json:"content"`
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
		about, err := a.About(m.Hub)
		if err != nil {
			a.Log.Warn("a model is left out of the list", "model", m.Name, "error", err)
			continue
		}
		for _, name := range append([]string{m.Name}, m.Aliases...) {
			models = append(models, listedModel{
				Name: taggedName(name), Model: taggedName(name), ModifiedAt: about.Modified,
				Size: about.Size, Digest: about.Digest, Details: words(about), Capabilities: about.Capabilities(),
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
		m := runningModel{Size: l.Charge, ContextLength: l.Model.Context()}
		at, forever := l.Expires()
		if forever {
			at = now.Add(math.MaxInt64) // as Ollama says it
		}
		m.ExpiresAt = at.UTC()
		for _, m.Name = range l.Asked() {
			models = append(models, m)
		}
	})
	for i := range models {
		m := &models[i]
		if found, err := a.Models.Resolve(m.Name); err == nil { // its file may have been deleted meanwhile
			about, err := a.About(found)
			if err != nil {
				return err
			}
			m.Digest, m.Details = about.Digest, words(about)
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
	var q showRequest
	if err := core.ReadJSON(r, &q); err != nil {
		return err
	}
	m, err := a.answering(q.name())
	if err != nil {
		return err
	}
	about, err := a.About(m)
	if err != nil {
		return err
	}
	modelfile := "FROM " + taggedName(m.Name) + "\n"
	for line := range strings.Lines(about.Recommended) {
		modelfile += "PARAMETER " + line
	}
	own := m.Derived
	if own == nil {
		own = &hub.Derived{}
	} else {
		modelfile = own.Modelfile()
	}
	answer := shownModel{
		License: about.License, Template: about.ChatTemplate, Details: words(about),
		Parameters: about.Recommended, Modelfile: modelfile, ModelInfo: map[string]any{},
		Capabilities: about.Capabilities(), ModifiedAt: about.Modified, System: own.System,
	}
	for _, message := range own.Messages {
		answer.Messages = append(answer.Messages, shownMessage{message.Role, message.Content})
	}
	f, err := m.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	for key, v := range f.Metadata.All() {
		answer.ModelInfo[key] = metadataJSON(v, q.Verbose)
	}
	answer.ModelInfo["general.parameter_count"] = about.Parameters
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
	var q copyRequest
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
	if old, err := a.Models.Resolve(destination); err == nil && sameFile(source, old) {
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

// sameFile reports whether two models are one file and nothing else. What is not there is no file.
func sameFile(a, b *hub.Model) bool {
	x, _ := os.Stat(a.Path)
	y, _ := os.Stat(b.Path)
	return a.Derived == nil && b.Derived == nil && os.SameFile(x, y)
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

// words describes a model as Ollama does.
func words(about *core.About) modelDetails {
	return modelDetails{
		Format: "gguf", Family: about.Architecture, Families: []string{about.Architecture},
		ParameterSize: parameterSize(about.Parameters), QuantizationLevel: about.Type,
		ContextLength: about.Context, EmbeddingLength: about.Hidden,
	}
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
