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
