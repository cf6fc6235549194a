package ollama

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strings"

	"trit/chat"
	"trit/hub"
	"trit/server/core"
)

// createRequest is the body of /api/create.
type createRequest struct {
	namedModel
	Stream     *bool             `json:"stream"`
	From       string            `json:"from"`
	Files      map[string]string `json:"files"` // names → digests of blobs
	Adapters   map[string]string `json:"adapters"`
	Template   string            `json:"template"`
	License    core.StringList   `json:"license"`
	System     string            `json:"system"`
	Parameters map[string]any    `json:"parameters"`
	Messages   []messageField    `json:"messages"`
	Quantize   string            `json:"quantize"`
	// Modelfile is what older clients send instead of the rest.
	Modelfile string `json:"modelfile"`
}

// create makes a model of another one, whose weights it shares, or of a file that was sent.
func (a *api) create(w http.ResponseWriter, r *http.Request) error {
	var q createRequest
	if err := core.ReadJSON(r, &q); err != nil {
		return err
	}
	d, digest, err := q.derived()
	if err != nil {
		return err
	}
	if d.Name = strings.TrimSuffix(q.name(), latest); d.Name == "" {
		return core.BadRequest("model", "model is required")
	}
	if err := a.make(r, d, digest); err != nil {
		return storeError(err)
	}
	out := a.NewReply(w, r, core.FormOf(q.Stream == nil || *q.Stream, core.Lines))
	defer out.Close()
	a.Log.Info("model created", "model", d.Name, "from", cmp.Or(digest, d.From))
	if !out.Streams() {
		return core.WriteJSON(w, http.StatusOK, pullLine{Status: "success"})
	}
	for _, status := range []string{"using existing layer", "writing manifest", "success"} {
		if err := out.Piece("", pullLine{Status: status}); err != nil {
			return err
		}
	}
	return nil
}

// make puts the model into the store.
func (a *api) make(r *http.Request, d *hub.Derived, digest string) error {
	if digest != "" {
		if err := a.Models.Drop(r.Context(), d.Name); err != nil {
			return err
		}
		_, err := hub.CreateFromBlob(*d, digest)
		return err
	}
	from, err := a.find(d.From)
	if err != nil {
		return err
	}
	// The file's name on the disk may be another one than clients use.
	if d.From = from.Name; from.Source == hub.File {
		d.From = from.Path
	}
	_, err = hub.Create(*d)
	return err
}

// derived returns what is to be made, and the digest of the blob with its weights if they are not those of
// another model.
func (q *createRequest) derived() (d *hub.Derived, digest string, err error) {
	for _, refused := range []struct {
		there bool
		field string
		why   string
	}{
		{q.Quantize != "", "quantize", "weights are not quantized here; do that before they are sent"},
		{len(q.Adapters) > 0, "adapters", "adapters are not supported; merge them into the weights, and convert those"},
		{len(q.Files) > 1, "files", "there are several files; send one GGUF file, to which a checkpoint is converted before"},
	} {
		if refused.there {
			return nil, "", core.Unsupported(refused.field, "%s: %s", refused.field, refused.why)
		}
	}
	d = &hub.Derived{From: q.From, System: q.System, Template: q.Template, Parameters: q.Parameters, License: q.License}
	if q.Modelfile != "" {
		if d, err = hub.ParseModelfile(q.Modelfile); err != nil {
			return nil, "", storeError(err)
		}
		if strings.HasPrefix(d.From, "@") { // how clients of that time name a blob
			return d, d.From[1:], nil
		}
	}
	for i, m := range q.Messages {
		if len(m.Images) > 0 {
			return nil, "", core.Unsupported("messages", "messages[%d].images: images are not supported", i)
		}
		d.Messages = append(d.Messages, chat.Message{Role: m.Role, Content: m.Content})
	}
	for _, digest = range q.Files {
	}
	if digest == "" && d.From == "" {
		return nil, "", core.BadRequest("from", "from and files are missing: name a model, or the file that was sent as a blob")
	}
	// Nothing is what clients send that have nothing to say.
	d.License = slices.DeleteFunc(d.License, func(s string) bool { return s == "" })
	return d, digest, nil
}

// hasBlob tells clients whether they need to send a file.
func (a *api) hasBlob(w http.ResponseWriter, r *http.Request) error {
	digest := r.PathValue("digest")
	has, err := hub.HasBlob(digest)
	if err != nil {
		return storeError(err)
	}
	if !has {
		return &core.Error{Status: http.StatusNotFound, Code: "blob_not_found", Message: "there is no blob " + digest}
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// putBlob takes a file.
func (a *api) putBlob(w http.ResponseWriter, r *http.Request) error {
	err := hub.PutBlob(r.Context(), r.PathValue("digest"), r.Body)
	if errors.Is(err, hub.ErrChecksum) { // here it is the client's, not a hub's
		return &core.Error{Status: http.StatusBadRequest, Code: "invalid_value", Message: err.Error()}
	}
	if err != nil {
		return storeError(err)
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}
