package anthropic

import (
	"trit/server/core"
)

// Docs are what the document of the server says of this API's routes.
func Docs() map[string]core.Doc {
	return map[string]core.Doc{
		"POST /v1/messages": {Summary: "Answer a conversation", Body: messagesRequest{}, Needs: "model messages max_tokens", Reply: messageReply{}, Stream: core.EventStream,
			Pieces: []any{messageStart{}, blockStart{}, blockDelta{}, blockStop{}, messageDelta{}, bareEvent{}, errorReply{}}},
		"POST /v1/messages/count_tokens": {Summary: "Count the tokens of a conversation", Body: messagesRequest{}, Needs: "model messages", Reply: map[string]int{}},
	}
}

// Schema implements core.Described.
func (*contentField) Schema() core.Schema {
	return core.Schema{"anyOf": []core.Schema{{"type": "string"}, {"type": "array", "items": core.Schema{"type": "object"}}}}
}
