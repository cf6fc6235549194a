package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// fakeServer has OpenAI's API and nothing else. A field that this API does not have is refused, as OpenAI does.
type fakeServer struct {
	*httptest.Server
	t      *testing.T
	known  []string // further fields
	mu     sync.Mutex
	bodies []map[string]any
	keys   []string
	// answers are those of the next requests: the data of events, a status with a body behind a "!", or with a
	// "+" what is written as it stands. The last one stays.
	answers []string
	header  http.Header
	models  string
	gone    chan struct{} // a client has left
}

// openAIFields are those of OpenAI's requests that the chat may send: unasked, or when somebody asks for them.
var openAIFields = []string{"model", "messages", "stream", "stream_options", "temperature", "top_p",
	"frequency_penalty", "presence_penalty", "max_tokens", "seed", "tools", "response_format"}

func newFakeServer(t *testing.T, answers ...string) *fakeServer {
	f := &fakeServer{t: t, answers: answers, header: http.Header{}, gone: make(chan struct{}, 9),
		models: `{"object":"list","data":[{"id":"small","object":"model","created":1,"owned_by":"x"},{"id":"big"}]}`}
	f.Server = httptest.NewServer(f)
	t.Cleanup(f.Close)
	return f
}

func (f *fakeServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.keys = append(f.keys, r.Header.Get("Authorization"))
	if r.URL.Path == "/v1/models" {
		defer f.mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, f.models)
		return
	}
	if r.URL.Path != "/v1/chat/completions" || r.Method != http.MethodPost {
		f.mu.Unlock()
		http.NotFound(w, r)
		return
	}
	var body map[string]any
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		f.t.Error(err)
	}
	f.bodies = append(f.bodies, body)
	answer := f.answers[0]
	if len(f.answers) > 1 {
		f.answers = f.answers[1:]
	}
	maps.Copy(w.Header(), f.header)
	f.mu.Unlock()
	for field := range body {
		if !slices.Contains(openAIFields, field) && !slices.Contains(f.known, field) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"error":{"message":"Unrecognized request argument supplied: %s","param":null}}`, field)
			return
		}
	}
	if status, text, ok := strings.Cut(answer, "!"); ok && len(status) == 3 {
		var code int
		fmt.Sscan(status, &code)
		w.WriteHeader(code)
		fmt.Fprint(w, text)
		return
	}
	if raw, ok := strings.CutPrefix(answer, "+"); ok {
		fmt.Fprint(w, raw)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	for data := range strings.Lines(answer) {
		if data = strings.TrimSpace(data); data == "HANG" {
			<-r.Context().Done()
			f.gone <- struct{}{}
			return
		}
		fmt.Fprintf(w, "data: %s\n\n", data)
		w.(http.Flusher).Flush()
	}
}

// last returns the last request.
func (f *fakeServer) last() map[string]any {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.bodies) == 0 {
		f.t.Fatal("there was no request")
	}
	return f.bodies[len(f.bodies)-1]
}

// says is an answer with a text.
func says(text string) string {
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err)
	}
	return `{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}
{"choices":[{"index":0,"delta":{"content":` + string(quoted) + `},"finish_reason":null}]}
{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}
{"choices":[],"usage":{"prompt_tokens":20,"completion_tokens":7,"total_tokens":27}}
[DONE]`
}
