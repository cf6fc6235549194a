package ollama

import (
	"testing"

	"trit/server/core"
	"trit/server/internal/servertest"
)

// TestThink runs a model that thinks before every answer.
func TestThink(t *testing.T) {
	w := servertest.NewWire(t, core.Options{Models: []string{servertest.Thinking(t)}, ThinkingBudget: 40}, Routes)
	for _, path := range []string{"/api/chat", "/api/generate"} {
		for _, think := range []any{nil, true, false, "low"} {
			body := servertest.Object{"model": "tiny", "stream": false, "prompt": "Hello!", "options": servertest.Object{"temperature": 1, "seed": 3, "num_predict": 100}}
			if path == "/api/chat" {
				body["messages"] = []servertest.Object{{"role": "user", "content": "Hello!"}}
			}
			if think != nil {
				body["think"] = think
			}
			var out struct {
				Message            struct{ Content, Thinking string }
				Response, Thinking string
			}
			w.Ask("POST", path, body).Into(200, &out)
			said, thought := out.Message.Content+out.Response, out.Message.Thinking+out.Thinking
			if said == "" || (thought == "") != (think == false) {
				t.Errorf("%s, think %v: %+v", path, think, out)
			}
		}
	}
}
