package llamacpp

import (
	"net/http"

	"trit/internal/version"
	"trit/sample"
	"trit/server/core"
)

// generationSettings are the options of a generation as llama.cpp's server tells
// them, by their names.
type generationSettings map[string]any

// unknownSeed stands for a seed that is chosen when the time comes.
const unknownSeed = 1<<32 - 1

func newGenerationSettings(o *sample.Options) generationSettings {
	s := generationSettings{
		"seed": core.ValueOr(o.Seed, unknownSeed), "samplers": o.StageOrder(), "grammar": "", "stop": []string{},
		"max_tokens": -1, "n_predict": -1, // to the end of the context
		"ignore_eos": false, "logit_bias": []tokenBias{}, "stream": false, "n_probs": 0,
	}
	for _, p := range sample.Params() {
		s[p.Name] = core.FewDigits(p.Get(o))
	}
	return s
}

// slotReply is what is known about one of the places for generations.
type slotReply struct {
	ID           int                `json:"id"`
	Task         int                `json:"id_task,omitempty"`
	Context      int                `json:"n_ctx"`
	Speculative  bool               `json:"speculative"`
	IsProcessing bool               `json:"is_processing"`
	Params       generationSettings `json:"params,omitempty"`
	PromptTokens int                `json:"n_prompt_tokens,omitempty"`
	NextToken    *nextToken         `json:"next_token,omitempty"`
}

type nextToken struct {
	HasNextToken bool  `json:"has_next_token"`
	Decoded      int64 `json:"n_decoded"`
}

// props tells what a client may want to know about a model and its server.
func (s *api) props(w http.ResponseWriter, r *http.Request) error {
	l, err := s.Models.Acquire(r.Context(), r.URL.Query().Get("model"))
	if err != nil {
		return err
	}
	defer l.Release()
	template := ""
	if t, _, err := l.Model.ChatTemplate(); err == nil { // a model without one can still complete texts
		template = t.Source()
	}
	t := l.Model.Tokenizer()
	var bos, eos string
	if id, ok := t.BOS(); ok {
		bos = t.Token(id).Text
	}
	if id, ok := t.EOS(); ok {
		eos = t.Token(id).Text
	}
	sampling := l.Model.Sampling()
	settings := newGenerationSettings(&sampling)
	return core.WriteJSON(w, http.StatusOK, map[string]any{
		"default_generation_settings": slotReply{Context: l.Model.Context(), Speculative: l.Model.Info().MTP, Params: settings},
		"total_slots":                 len(l.Slots()),
		"model_alias":                 l.Name,
		"model_path":                  l.Name,
		"model_architecture":          l.Model.Info().Architecture,
		"modalities":                  map[string]bool{"vision": false, "audio": false},
		"chat_template":               template,
		"bos_token":                   bos,
		"eos_token":                   eos,
		"build_info":                  "trit " + version.Get().Version,
		"cpu":                         l.Model.Info().CPU,
		"threads":                     l.Model.Info().Threads,
		"is_sleeping":                 false,
	})
}

// slots lists the places for generations of a model and what runs there. With
// fail_on_no_slot it is an error if all are taken.
func (s *api) slots(w http.ResponseWriter, r *http.Request) error {
	l, err := s.Models.Acquire(r.Context(), r.URL.Query().Get("model"))
	if err != nil {
		return err
	}
	defer l.Release()
	free := false
	list := []slotReply{}
	context := l.Model.Context()
	for i, slot := range l.Slots() {
		one := slotReply{ID: i, Context: context, Speculative: l.Model.Info().MTP}
		if !slot.Busy {
			free = true
		} else {
			one.IsProcessing = true
			one.PromptTokens = slot.PromptTokens
			one.NextToken = &nextToken{HasNextToken: true, Decoded: slot.Generated}
		}
		list = append(list, one)
	}
	if !free && r.URL.Query().Get("fail_on_no_slot") != "" {
		return &core.Error{Status: http.StatusServiceUnavailable, Code: "no_slot", Message: "no slot is available"}
	}
	return core.WriteJSON(w, http.StatusOK, list)
}
