// Package mock is a server with the OpenAI API that answers by script, so that
// the chat page can be driven into every corner: slow, hostile, failing,
// thinking, calling tools. What it answers depends on the last message.
package mock

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"

	"trit/server/ui"
)

// Server serves the chat page and the API behind it.
type Server struct {
	mux *http.ServeMux

	mu       sync.Mutex
	key      string           // that requests must carry, if not empty
	down     bool             // drop all API connections
	gone     bool             // drop all connections
	version  string           // of the page, if it is to be another one
	fail     int              // status of the next failures
	failures int              // so many of them
	after    int              // seconds that Retry-After asks for
	bodies   []map[string]any // of the chat requests, oldest first
	ended    int              // streams that the client cut off
	here     []*Model
	asked    []string // what was asked of models: "load NAME" and the like
	admin    string   // that downloads and deletions need, if not empty
}

// New returns a server without a key.
func New() *Server {
	s := &Server{mux: http.NewServeMux(), here: []*Model{
		{ID: "demo", Size: 2_300_000, Context: 512, Parameters: 5_250_000, State: "loaded", Source: "embedded"},
		{ID: "bitnet-b1.58-2b-4t", Size: 1_190_000_000, Context: 4096, Parameters: 2_400_000_000, State: "unloaded", Source: "store"},
	}}
	page := ui.Handler()
	s.mux.Handle("GET /{$}", page)
	s.mux.Handle("GET /ui", page)
	s.mux.Handle("GET /ui/", page)
	s.modelRoutes()
	s.mux.HandleFunc("GET /props", s.guard(s.props))
	s.mux.HandleFunc("POST /v1/chat/completions", s.guard(s.chat))
	return s
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	gone, version := s.gone, s.version
	s.mu.Unlock()
	switch {
	case gone:
		panic(http.ErrAbortHandler)
	case version != "" && !strings.HasPrefix(r.URL.Path, "/v1/"):
		renamed(s.mux, version, w, r)
	default:
		s.mux.ServeHTTP(w, r)
	}
}

var assets = regexp.MustCompile(`\b[0-9a-f]{16}\b`)

// renamed answers as a program does whose page is of another version: its files lie in another folder.
func renamed(next http.Handler, version string, w http.ResponseWriter, r *http.Request) {
	r.Header.Del("Accept-Encoding")
	r.Header.Del("If-None-Match")
	if strings.HasPrefix(r.URL.Path, "/ui/"+version+"/") {
		page := httptest.NewRecorder()
		next.ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/ui/", nil))
		r.URL.Path = strings.Replace(r.URL.Path, version, assets.FindString(page.Body.String()), 1)
	} else if assets.MatchString(r.URL.Path) {
		http.NotFound(w, r)
		return
	}
	answer := httptest.NewRecorder()
	next.ServeHTTP(answer, r)
	maps.Copy(w.Header(), answer.Header())
	w.Header().Del("Content-Length")
	w.Header().Set("ETag", `"`+version+`"`)
	w.WriteHeader(answer.Code)
	_, _ = w.Write(assets.ReplaceAll(answer.Body.Bytes(), []byte(version))) // the client may have gone
}

// SetGone makes the server drop every connection, the page's too.
func (s *Server) SetGone(gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone = gone
}

// SetVersion makes the page one of another version, 16 hexadecimal digits.
func (s *Server) SetVersion(version string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.version = version
}

// RequireKey makes the API demand a key; "" takes that back.
func (s *Server) RequireKey(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.key = key
}

// SetDown makes the API drop connections without an answer.
func (s *Server) SetDown(down bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down = down
}

// Fail lets the next n chat requests fail with a status; those of 429 and 503
// say after how many seconds to come again.
func (s *Server) Fail(status, n, after int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail, s.failures, s.after = status, n, after
}

// Bodies returns the chat requests so far.
func (s *Server) Bodies() []map[string]any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]map[string]any(nil), s.bodies...)
}

// CutOff returns how many streams the client ended before they were complete.
func (s *Server) CutOff() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

func (s *Server) guard(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		key, down := s.key, s.down
		s.mu.Unlock()
		if down {
			panic(http.ErrAbortHandler)
		}
		if key != "" && r.Header.Get("Authorization") != "Bearer "+key {
			fail(w, http.StatusUnauthorized, "invalid_api_key", "Incorrect API key provided.")
			return
		}
		next(w, r)
	}
}

func (s *Server) props(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]any{"default_generation_settings": map[string]any{"n_ctx": 512, "params": map[string]any{"temperature": 0.6, "top_p": 0.9, "top_k": 40, "min_p": 0.05}}})
}

func (s *Server) chat(w http.ResponseWriter, r *http.Request) {
	var body struct {
		Messages []struct{ Role, Content string }
	}
	var raw map[string]any
	data := json.NewDecoder(http.MaxBytesReader(w, r.Body, 8<<20))
	if err := data.Decode(&raw); err != nil {
		fail(w, http.StatusBadRequest, "invalid_json", err.Error())
		return
	}
	again, err := json.Marshal(raw)
	if err == nil {
		err = json.Unmarshal(again, &body)
	}
	if err != nil || len(body.Messages) == 0 {
		fail(w, http.StatusBadRequest, "invalid_request", "messages are missing")
		return
	}
	s.mu.Lock()
	s.bodies = append(s.bodies, raw)
	status, after := 0, strconv.Itoa(s.after)
	if s.failures > 0 {
		s.failures--
		status = s.fail
	}
	s.mu.Unlock()
	switch status {
	case 0:
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", after)
		fail(w, status, "rate_limit_exceeded", "The queue is full.")
		return
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", after)
		fail(w, status, "unavailable", "Loading model")
		return
	default:
		fail(w, status, "failed", "Something went wrong.")
		return
	}
	prompt := body.Messages[len(body.Messages)-1].Content
	if strings.HasPrefix(prompt, "Give this conversation a title") {
		s.title(w, r, body.Messages[0].Content)
		return
	}
	stream := &stream{w: w, r: r, read: 12 * len(body.Messages)}
	if raw["continue_final_message"] == true {
		stream.words("ete. Now it is.", 5*time.Millisecond)
		stream.end()
		return
	}
	if body.Messages[len(body.Messages)-1].Role == "tool" {
		if body.Messages[0].Content != "/loop" {
			stream.words("The tool says "+prompt, 5*time.Millisecond/time.Duration(1+len(prompt)/100))
			stream.end()
			return
		}
		prompt = "/loop"
	}
	command, argument, _ := strings.Cut(strings.TrimPrefix(prompt, "/"), " ")
	if !strings.HasPrefix(prompt, "/") {
		command = ""
	}
	switch command {
	case "slow":
		stream.words(strings.Repeat("word after word ", 400), 40*time.Millisecond)
	case "wait":
		for processed := range 4 {
			stream.event(map[string]any{"choices": []any{map[string]any{"index": 0, "delta": map[string]any{}}},
				"prompt_progress": map[string]any{"total": 400, "cache": 0, "processed": 100 * processed, "time_ms": 1000 * processed}})
			time.Sleep(1100 * time.Millisecond)
		}
		stream.words("I have read it all.", 10*time.Millisecond)
	case "showcase":
		stream.words(Showcase, time.Millisecond)
	case "hostile":
		stream.words(Hostile, 200*time.Microsecond)
	case "bomb":
		stream.whole(Bombs()[argument])
	case "long":
		stream.words(Long(60_000), 0)
	case "think":
		stream.delta(map[string]any{"reasoning_content": "The user greets me. "})
		stream.delta(map[string]any{"reasoning_content": "I should **greet** back."})
		stream.words("Hello to you too.", 5*time.Millisecond)
	case "tags":
		stream.words("<think>Inside the tags.</think>\n\nOutside of them.", 2*time.Millisecond)
	case "tool":
		stream.tool("get_weather", `{"city":"Paris","unit":"celsius"}`)
	case "loop":
		stream.tool("calculator", `{"expression":"6*7"}`)
	case "calculate":
		stream.tool("calculator", `{"expression":"`+argument+`"}`)
	case "run":
		code, err := json.Marshal(map[string]any{"code": argument})
		if err != nil {
			panic(err)
		}
		stream.tool("javascript", string(code))
	case "context":
		if len(body.Messages) > 3 {
			fail(w, http.StatusBadRequest, "context_length_exceeded", "The prompt has 600 tokens, but the model's context holds 512.")
			return
		}
		stream.words("Now it fits.", 5*time.Millisecond)
	case "length":
		stream.reason = "length"
		stream.words("This answer is not compl", 5*time.Millisecond)
	case "drop":
		stream.words("Half an answ", 50*time.Millisecond)
		panic(http.ErrAbortHandler)
	case "midway":
		stream.words("Half an answer", 5*time.Millisecond)
		stream.event(map[string]any{"error": map[string]any{"message": "The engine stumbled.", "type": "server_error", "code": nil}})
		return
	case "json":
		stream.words(`{"people": [{"name": "<img src=x onerror=window.pwned=1>", "age": 3}, {"name": "Bo", "age": 41}], "complete": true}`, time.Millisecond)
	case "math":
		stream.words(Formulas, time.Millisecond)
	case "sure":
		stream.likely(" Par", 0.9, "Lyon", 0.05)
		stream.likely("is\n", 0.1, "<b>is</b>", 0.6)
	case "empty":
		stream.words("", 0)
	case "echo":
		stream.words(argument, time.Millisecond)
	default:
		stream.words("You said: "+prompt, 8*time.Millisecond)
	}
	if !stream.end() {
		s.mu.Lock()
		s.ended++
		s.mu.Unlock()
	}
}

// title names a chat; one that begins with /hold gets its title when nobody wants it any more.
func (s *Server) title(w http.ResponseWriter, r *http.Request, first string) {
	if first == "/hold" {
		<-r.Context().Done()
		s.mu.Lock()
		s.ended++
		s.mu.Unlock()
		return
	}
	reply(w, map[string]any{"choices": []any{map[string]any{"message": map[string]any{"role": "assistant",
		"content": "<think>Hm.</think>\n**Title: “All about <img src=x onerror=window.pwned=3>”**\nMore."}}}})
}

// stream writes one answer.
type stream struct {
	w      http.ResponseWriter
	r      *http.Request
	read   int
	tokens int
	reason string
	cut    bool
}

func (s *stream) event(value any) {
	if s.cut || s.r.Context().Err() != nil {
		s.cut = true
		return
	}
	data, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	s.w.Header().Set("Content-Type", "text/event-stream")
	s.w.Header().Set("Cache-Control", "no-store")
	if _, err := fmt.Fprintf(s.w, "data: %s\n\n", data); err != nil {
		s.cut = true
		return
	}
	if err := http.NewResponseController(s.w).Flush(); err != nil {
		s.cut = true
	}
}

func (s *stream) chunk(choice map[string]any) {
	s.event(map[string]any{"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "demo", "choices": []any{choice}, "usage": nil})
}

func (s *stream) delta(delta map[string]any) {
	s.tokens++
	s.chunk(map[string]any{"index": 0, "delta": delta, "finish_reason": nil})
}

// words sends a text in pieces of the size of tokens.
func (s *stream) words(text string, pause time.Duration) {
	s.chunk(map[string]any{"index": 0, "delta": map[string]any{"role": "assistant", "content": ""}, "finish_reason": nil})
	for text != "" && !s.cut {
		n := min(4, len(text))
		for n < len(text) && text[n]&0xC0 == 0x80 {
			n++
		}
		s.delta(map[string]any{"content": text[:n]})
		text = text[n:]
		time.Sleep(pause)
	}
}

// likely sends a token with its probability and that of another one.
func (s *stream) likely(token string, p float64, other string, q float64) {
	s.tokens++
	entry := func(token string, p float64) map[string]any {
		return map[string]any{"token": token, "logprob": math.Log(p), "bytes": nil}
	}
	one := entry(token, p)
	one["top_logprobs"] = []any{entry(token, p), entry(other, q)}
	s.chunk(map[string]any{"index": 0, "delta": map[string]any{"content": token}, "finish_reason": nil, "logprobs": map[string]any{"content": []any{one}}})
}

// whole sends a text at once.
func (s *stream) whole(text string) {
	s.delta(map[string]any{"content": text})
}

// tool calls a tool, its arguments in pieces.
func (s *stream) tool(name, arguments string) {
	call := func(fields map[string]any) {
		s.delta(map[string]any{"tool_calls": []any{fields}})
	}
	call(map[string]any{"index": 0, "id": "call_1", "type": "function", "function": map[string]any{"name": name, "arguments": ""}})
	for len(arguments) > 0 {
		n := min(6, len(arguments))
		call(map[string]any{"index": 0, "function": map[string]any{"arguments": arguments[:n]}})
		arguments = arguments[n:]
	}
	s.reason = "tool_calls"
}

// end closes the stream. It reports whether the client was there to the end.
func (s *stream) end() bool {
	reason := s.reason
	if reason == "" {
		reason = "stop"
	}
	s.chunk(map[string]any{"index": 0, "delta": map[string]any{}, "finish_reason": reason})
	s.event(map[string]any{"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "demo", "choices": []any{},
		"usage": map[string]any{"prompt_tokens": s.read, "completion_tokens": s.tokens, "total_tokens": s.read + s.tokens}})
	if s.cut {
		return false
	}
	_, err := fmt.Fprint(s.w, "data: [DONE]\n\n")
	return err == nil
}

func reply(w http.ResponseWriter, value any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(value); err != nil {
		panic(http.ErrAbortHandler)
	}
}

func fail(w http.ResponseWriter, status int, code, message string) {
	data, err := json.Marshal(map[string]any{"error": map[string]any{"message": message, "type": "invalid_request_error", "code": code, "param": nil}})
	if err != nil {
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(status)
	_, _ = w.Write(data) // a client that has gone needs no error
}
