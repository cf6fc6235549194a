package server

import (
	"context"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"trit"
	"trit/chat"
)

// TestLeavingPreparation: when a client leaves while its template is rendered, or its time is over while its grammar is
// compiled, that ends and others have its place.
func TestLeavingPreparation(t *testing.T) {
	var begun atomic.Int32
	clock := func() time.Time {
		begun.Add(1)
		return time.Now()
	}
	endless, err := chat.Parse(`{% if messages[-1].content == 'slow' %}{{ strftime_now('%Y') }}{% for a in range(99999) %}{% for b in range(99999) %}`+
		`{% endfor %}{% endfor %}{% endif %}{{ messages[-1].content }}`, chat.WithLimits(chat.Limits{Steps: 1 << 50, Time: time.Hour}),
		chat.WithClock(clock))
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, Options{Open: []trit.Option{trit.ChatTemplate(endless)}})
	slow := []struct{ path, body string }{
		{"/v1/chat/completions", `{"messages":[{"role":"user","content":"slow"}]}`},
		{"/api/chat", `{"model":"demo","messages":[{"role":"user","content":"slow"}]}`},
		{"/v1/messages", `{"model":"demo","max_tokens":5,"messages":[{"role":"user","content":"slow"}]}`},
		{"/v1/responses", `{"input":"slow"}`},
		{"/apply-template", `{"messages":[{"role":"user","content":"slow"}]}`},
		{"/v1/messages/count_tokens", `{"model":"demo","messages":[{"role":"user","content":"slow"}]}`},
	}
	for i, a := range slow {
		ctx, cancel := context.WithCancel(t.Context())
		answer := make(chan error)
		go func() {
			_, err := s.try(ctx, "POST", a.path, a.body)
			answer <- err
		}()
		s.until("rendering begins", func() bool { return int(begun.Load()) == i+1 })
		cancel()
		if err := <-answer; err == nil {
			t.Errorf("%s: a template without end was rendered", a.path)
		}
		s.until(a.path+" ends", func() bool { return strings.Count(s.log.String(), "status=499") == i+1 })
	}
	s.do("POST", "/v1/chat/completions", `{"messages":[{"role":"user","content":"quick"}],"max_tokens":2}`).expect(t, http.StatusOK)

	s = serve(t, Options{RequestTimeout: time.Nanosecond})
	s.do("POST", "/v1/completions", `{"prompt":"x","guided_regex":"`+strings.Repeat("[a-z]b", 9000)+`"}`).
		expect(t, http.StatusGatewayTimeout, "took longer than")
}

// TestTooLongByBytes: all endpoints refuse a text that certainly is too long for the model before they make tokens of
// it, and name its field where their API has that; those that may cut it do.
func TestTooLongByBytes(t *testing.T) {
	s := serve(t, Options{})
	long := strings.Repeat("a", 1<<18)
	for _, c := range []struct {
		path, body string
		status     int
		says       []string
	}{
		{"/v1/completions", `{"prompt":"` + long + `"}`, 400, []string{"context_length_exceeded", `"param":"prompt"`, "at least"}},
		{"/v1/embeddings", `{"input":"` + long + `"}`, 400, []string{"context_length_exceeded", `"param":"input"`, "at least"}},
		{"/v1/chat/completions", `{"messages":[{"role":"user","content":"` + long + `"}]}`, 400, []string{"context_length_exceeded", "at least"}},
		{"/v1/responses/input_tokens", `{"input":"` + long + `"}`, 400, []string{"context_length_exceeded", "at least"}},
		{"/v1/messages/count_tokens", `{"model":"demo","messages":[{"role":"user","content":"` + long + `"}]}`, 400, []string{"prompt is too long"}},
		{"/tokenize", `{"content":"` + long + `"}`, 400, []string{"exceed_context_size_error", "at least"}},
		{"/tokenize", `{"content":["x",1,"` + long + `"]}`, 400, []string{"exceed_context_size_error", "at least"}},
		{"/tokenize", `{"prompt":"` + long + `"}`, 400, []string{"exceed_context_size_error", "at least"}},
		{"/tokenize", `{"messages":[{"role":"user","content":"` + long + `"}]}`, 400, []string{"at least"}},
		{"/completion", `{"prompt":"` + long + `"}`, 400, []string{"exceed_context_size_error", "at least"}},
		{"/embedding", `{"content":"` + long + `"}`, 400, []string{"exceed_context_size_error", "at least"}},
		{"/api/generate", `{"model":"demo","raw":true,"prompt":"` + long + `"}`, 400, nil},
		{"/api/embed", `{"model":"demo","input":"` + long + `","truncate":false}`, 400, nil},
		{"/api/embed", `{"model":"demo","input":"` + long + `"}`, 200, nil},
		{"/api/embeddings", `{"model":"demo","prompt":"` + long + `"}`, 200, nil},
	} {
		s.do("POST", c.path, c.body).expect(t, c.status, c.says...)
	}
}
