package ollama

import (
	"encoding/json"

	"trit/server/core"
)

// The bodies of requests that have few fields.
type (
	showRequest struct {
		namedModel
		Verbose bool `json:"verbose"`
	}
	copyRequest struct {
		Source      string `json:"source"`
		Destination string `json:"destination"`
	}
	pullRequest struct {
		namedModel
		Stream *bool `json:"stream"`
	}
	embedOneRequest struct {
		Model     string          `json:"model"`
		Prompt    string          `json:"prompt"`
		KeepAlive *durationField  `json:"keep_alive"`
		Options   json.RawMessage `json:"options"`
	}
)

// Docs are what the document of the server says of this API's routes.
func Docs() map[string]core.Doc {
	return map[string]core.Doc{
		"GET /api/tags": {Summary: "The models that requests may name", Reply: struct {
			Models []listedModel `json:"models"`
		}{}},
		"GET /api/ps": {Summary: "The models in memory", Reply: struct {
			Models []runningModel `json:"models"`
		}{}},
		"GET /api/version": {Summary: "The version of Ollama that this API is of", Reply: map[string]string{}},
		"GET /api/status":  {Summary: "Whether requests are passed on to a cloud: they are not", Reply: map[string]any{}},
		"POST /api/show":   {Summary: "What a model's file says", Body: showRequest{}, Reply: shownModel{}},
		"POST /api/generate": {Summary: "Continue a prompt", Body: generateRequest{}, Needs: "model", Reply: generateLine{},
			Pieces: []any{generateLine{}, errorLine{}}, Stream: core.LineStream},
		"POST /api/chat": {Summary: "Answer a conversation", Body: chatRequest{}, Needs: "model", Reply: chatLine{},
			Pieces: []any{chatLine{}, errorLine{}}, Stream: core.LineStream},
		"POST /api/embed":      {Summary: "Embeddings of texts", Body: embedRequest{}, Needs: "model", Reply: embedAnswer{}},
		"POST /api/embeddings": {Summary: "The embedding of a text", Body: embedOneRequest{}, Needs: "model", Reply: map[string][]float32{}},
		"POST /api/pull": {Summary: "Download a model", Body: pullRequest{}, Reply: pullLine{},
			Pieces: []any{pullLine{}, errorLine{}}, Stream: core.LineStream},
		"POST /api/copy":     {Summary: "Copy a model of the store", Body: copyRequest{}, Needs: "source destination"},
		"DELETE /api/delete": {Summary: "Delete a model of the store", Body: namedModel{}},
		"POST /api/create": {Summary: "Make a model of another one, or of a file that was sent", Body: createRequest{}, Reply: pullLine{},
			Pieces: []any{pullLine{}}, Stream: core.LineStream},
		"HEAD /api/blobs/{digest}": {Summary: "Whether a file has been sent"},
		"POST /api/blobs/{digest}": {Summary: "Send a GGUF file, which is the body"},
	}
}

// Schema implements core.Described.
func (*durationField) Schema() core.Schema {
	return core.Schema{"type": []string{"string", "number"}, "description": "a duration such as 5m, or seconds; below zero for ever"}
}

// Schema implements core.Described.
func (*formatField) Schema() core.Schema {
	return core.Schema{"anyOf": []core.Schema{{"enum": []string{"", "json"}}, {"type": "object"}}}
}

// Schema implements core.Described.
func (*thinkField) Schema() core.Schema {
	return core.Schema{"enum": []any{true, false, "low", "medium", "high", "max"}}
}

// Schema implements core.Described.
func (*inputField) Schema() core.Schema {
	return core.Schema{"anyOf": []core.Schema{{"type": "string"}, {"type": "array", "items": core.Schema{"type": "string"}}}}
}
