package openai

import (
	"trit/server/core"
)

// Docs are what the document of the server says of this API's routes.
func Docs() map[string]core.Doc {
	notKept := core.Doc{Summary: "404: no response is kept"}
	noRerank := core.Doc{Summary: "501: no model scores pairs of texts"}
	return map[string]core.Doc{
		"POST /v1/chat/completions": {Summary: "Answer a conversation", Body: chatRequest{}, Needs: "messages", Reply: textReply[chatChoice]{},
			Pieces: []any{textReply[chatDeltaChoice]{}, errorReply{}}, Stream: core.EventStream},
		"POST /v1/completions": {Summary: "Continue texts", Body: completionRequest{}, Needs: "prompt", Reply: textReply[textChoice]{},
			Pieces: []any{textReply[textChoice]{}, errorReply{}}, Stream: core.EventStream},
		"POST /v1/responses": {Summary: "Answer a conversation, without memory", Body: responseRequest{}, Needs: "input", Reply: responseObject{},
			Pieces: []any{responseEvent{}}, Stream: core.EventStream},
		"POST /v1/embeddings":                    {Summary: "Vectors of texts", Body: embeddingRequest{}, Needs: "input", Reply: embeddingReply{}},
		"POST /v1/responses/input_tokens":        {Summary: "Count the tokens of a request", Body: responseRequest{}, Needs: "input", Reply: countReply{}},
		"POST /v1/chat/completions/input_tokens": {Summary: "Count the tokens of a request", Body: chatRequest{}, Needs: "messages", Reply: countReply{}},
		"GET /v1/models":                         {Summary: "The models that requests may name", Reply: modelList{}},
		"GET /v1/models/{id...}":                 {Summary: "One of the models", Reply: modelReply{}},
		"GET /v1/responses/{id}":                 notKept,
		"DELETE /v1/responses/{id}":              notKept,
		"POST /v1/responses/{id}/cancel":         notKept,
		"GET /v1/responses/{id}/input_items":     notKept,
		"POST /v1/rerank":                        noRerank,
		"POST /v1/reranking":                     noRerank,
		"POST /rerank":                           noRerank,
		"POST /reranking":                        noRerank,
	}
}

// Schema implements core.Described.
func (*promptField) Schema() core.Schema {
	ids := core.Schema{"type": "array", "items": core.Schema{"type": "integer"}}
	return core.Schema{"anyOf": []core.Schema{{"type": "string"}, ids,
		{"type": "array", "items": core.Schema{"anyOf": []core.Schema{{"type": "string"}, ids}}, "maxItems": core.MaxTexts}}}
}

// Schema implements core.Described.
func (*templateField) Schema() core.Schema { return core.Schema{"type": "object"} }
