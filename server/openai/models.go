package openai

import (
	"net/http"
	"time"

	"trit/hub"
	"trit/server/core"
)

// modelReply describes a model. Beside OpenAI's fields it has those by which clients of
// other servers learn what a model is, above all how long a text may be, and those of
// Anthropic's list, which has the same path.
type modelReply struct {
	ID      string `json:"id"`
	Object  string `json:"object"`
	Created int64  `json:"created"`
	OwnedBy string `json:"owned_by"`

	Root          string      `json:"root"`           // vLLM: the name of the model that an alias stands for
	Parent        *string     `json:"parent"`         // vLLM: always null
	MaxModelLen   int         `json:"max_model_len"`  // vLLM
	ContextLength int         `json:"context_length"` // OpenRouter and others
	Aliases       []string    `json:"aliases"`        // llama-server, as all down to Status
	Tags          []string    `json:"tags"`           // always empty
	Capabilities  []string    `json:"capabilities"`
	Meta          modelMeta   `json:"meta"`
	Status        modelStatus `json:"status"`

	Source hub.Source  `json:"source"` // Trit, as Memory: where the model comes from
	Memory modelMemory `json:"memory"`

	Type           string    `json:"type"` // Anthropic: "model"
	DisplayName    string    `json:"display_name"`
	CreatedAt      time.Time `json:"created_at"`
	MaxInputTokens int       `json:"max_input_tokens"`
}

type modelMeta struct {
	VocabType    string `json:"vocab_type"`
	Vocabulary   int64  `json:"n_vocab"`
	Context      int    `json:"n_ctx"`
	TrainedFor   int64  `json:"n_ctx_train"`
	Embedding    int64  `json:"n_embd"`
	Parameters   int64  `json:"n_params"`
	Size         int64  `json:"size"`
	Architecture string `json:"architecture"`
	Quantization string `json:"quantization"`
}

type modelStatus struct {
	Value    core.ModelState `json:"value"`
	Progress float64         `json:"progress"` // of loading, from 0 to 1
}

// modelMemory is what a model takes, in bytes.
type modelMemory struct {
	Needed int64 `json:"needed"` // at the least, for one text as long as the context; 0 if its file cannot be run
	Taken  int64 `json:"taken"`  // now; 0 unless it is loaded
}

// serverMemory is what all models may take together, in bytes.
type serverMemory struct {
	Used  int64 `json:"used"`
	Limit int64 `json:"limit"` // 0 if unknown
}

// newModelReply describes a model under a name of its own or an alias.
func newModelReply(name string, m *core.ServedModel, about *core.About) modelReply {
	return modelReply{
		ID: name, Object: "model", Created: about.Modified.Unix(), OwnedBy: "trit",
		Root: m.Name, MaxModelLen: about.Context, ContextLength: about.Context, MaxInputTokens: about.Context,
		Aliases: append([]string{}, m.Aliases...), Tags: []string{}, Capabilities: about.Capabilities(),
		Meta: modelMeta{VocabType: about.Tokenizer, Vocabulary: about.Vocabulary, Context: about.Context,
			TrainedFor: about.Details.Context, Embedding: about.Hidden, Parameters: about.Parameters, Size: about.Size,
			Architecture: about.Architecture, Quantization: about.Type},
		Status: modelStatus{m.State, m.Progress},
		Source: m.Hub.Source, Memory: modelMemory{about.Memory, m.Memory},
		Type: "model", DisplayName: name, CreatedAt: about.Modified.Truncate(time.Second),
	}
}

// modelList is the answer of GET /v1/models.
type modelList struct {
	Object  string       `json:"object"`
	Data    []modelReply `json:"data"`
	HasMore bool         `json:"has_more"` // as FirstID and LastID, Anthropic's
	FirstID *string      `json:"first_id"`
	LastID  *string      `json:"last_id"`
	Memory  serverMemory `json:"memory"` // Trit
}

// listModels answers with the models that a request may name, and their aliases.
func (s *api) listModels(w http.ResponseWriter, r *http.Request) error {
	served, err := s.Models.List()
	if err != nil {
		return err
	}
	list := modelList{Object: "list", Data: []modelReply{}}
	list.Memory.Used, list.Memory.Limit = s.Models.Memory()
	for _, m := range served {
		about, err := s.About(m.Hub)
		if err != nil {
			s.Log.Warn("a model is left out of the list", "model", m.Name, "error", err)
			continue
		}
		for _, name := range append([]string{m.Name}, m.Aliases...) {
			list.Data = append(list.Data, newModelReply(name, &m, about))
		}
	}
	if n := len(list.Data); n > 0 {
		list.FirstID, list.LastID = &list.Data[0].ID, &list.Data[n-1].ID
	}
	return core.WriteJSON(w, http.StatusOK, list)
}

// getModel answers with one of them.
func (s *api) getModel(w http.ResponseWriter, r *http.Request) error {
	name := r.PathValue("id")
	found, err := s.Models.Answering(name)
	if err != nil {
		return err
	}
	about, err := s.About(found)
	if err != nil {
		return err
	}
	m := core.ServedModel{Name: found.Name, Hub: found}
	s.Models.Describe(&m)
	return core.WriteJSON(w, http.StatusOK, newModelReply(name, &m, about))
}
