package llamacpp

import (
	"trit/server/core"
)

// Docs are what the document of the server says of this API's routes.
func Docs() map[string]core.Doc {
	completion := core.Doc{Summary: "Continue texts", Body: completionRequest{}, Needs: "prompt", Reply: completionReply{},
		Pieces: []any{completionReply{}, errorReply{}}, Stream: core.EventStream}
	return map[string]core.Doc{
		"POST /completion":     completion,
		"POST /completions":    completion,
		"POST /tokenize":       {Summary: "The tokens of a text or of a conversation", Body: tokenizeRequest{}, Reply: map[string]any{}},
		"POST /detokenize":     {Summary: "The text of tokens", Body: detokenizeRequest{}, Reply: detokenizeReply{}},
		"POST /apply-template": {Summary: "The prompt that a conversation becomes", Body: templateRequest{}, Needs: "messages", Reply: map[string]string{}},
		"POST /embedding":      {Summary: "Vectors of texts", Body: embeddingRequest{}, Reply: []embeddedText{}},
		"POST /models/load":    {Summary: "Load a model", Body: modelRequest{}, Needs: "model", Reply: map[string]bool{}},
		"POST /models/unload":  {Summary: "Free the memory of a model", Body: modelRequest{}, Needs: "model", Reply: map[string]bool{}},
		"GET /props":           {Summary: "What a model is and how it is run", Reply: map[string]any{}, Query: []string{"model"}},
		"GET /slots":           {Summary: "The places for generations", Reply: []slotReply{}, Query: []string{"model", "fail_on_no_slot"}},
		"POST /slots/{id}": {Summary: "Save, restore or erase what is kept of past prompts", Body: slotRequest{}, Reply: map[string]any{},
			Query: []string{"action"}},
		"POST /infill": {Summary: "501: no model fills in the middle"},
	}
}

// Schema implements core.Described.
func (*promptField) Schema() core.Schema {
	return core.Schema{"type": []string{"string", "array", "object"}}
}
