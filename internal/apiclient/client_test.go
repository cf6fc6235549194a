package apiclient

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestEvents(t *testing.T) {
	for stream, want := range map[string]string{
		"data: a\n\ndata: b\r\n\r\ndata: [DONE]\n\ndata: c\n\n":           "a|b|",
		": comment\nevent: x\nid: 1\ndata:a\ndata: b\n\ndata: [DONE]\n\n": "a\nb|",
		"data: a\n\ndata: b": "a|" + ErrCut.Error(),
		"data: a\n\n":        "a|" + ErrCut.Error(),
		"":                   ErrCut.Error(),
		"data: " + strings.Repeat("x", maxEvent) + "\n\n": "more than",
	} {
		got := ""
		for data, err := range Events(strings.NewReader(stream)) {
			if got += string(data) + "|"; err != nil {
				got = strings.TrimSuffix(got, "|") + err.Error()
			}
		}
		if !strings.HasPrefix(got, want) && !strings.Contains(got, "more than") || got == "" && want != "" {
			t.Errorf("%.60q gives %q, want %q", stream, got, want)
		}
	}
}

func TestFailures(t *testing.T) {
	body, status := "", 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	defer server.Close()
	s := &Server{URL: server.URL, HTTP: server.Client()}
	for _, c := range []struct {
		status     int
		body, says string
	}{
		{400, `{"error":{"message":"bad field","param":"top_k","code":7}}`, "400: bad field"},
		{404, `{"error":"model not found"}`, "404: model not found"},
		{422, `{"detail":[{"loc":"x"}]}`, "422: [map[loc:x]]"},
		{401, `{"message":"no key"}`, "401: no key"},
		{500, "oops", "500: oops"},
		{404, "<!doctype html><html>", "page for browsers"},
		{502, "", "502: Bad Gateway"},
		{200, "<html>", "address of the API"},
		{200, "{}" + strings.Repeat(" ", 100), "more than 64 bytes"},
	} {
		body, status = c.body, c.status
		err := s.Call(t.Context(), http.MethodGet, "/v1/models", nil, &struct{}{}, 64)
		if err == nil || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), server.URL) {
			t.Errorf("%d %s: %v, want %q", c.status, c.body, err, c.says)
		}
		if e, ok := errors.AsType[*Error](err); c.status == 400 && (!ok || e.Param != "top_k" || e.Busy()) {
			t.Errorf("%+v", e)
		}
	}
	server.Close()
	err := s.Call(t.Context(), http.MethodGet, "/", nil, nil, 1)
	if !errors.Is(err, ErrNoAnswer) || strings.Count(err.Error(), server.URL) != 1 {
		t.Error(err)
	}
}

// TestPatience: a busy server is asked again when it says, but not for ever.
func TestPatience(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked++; asked == 1 {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
		} else if asked == 2 {
			w.WriteHeader(http.StatusServiceUnavailable)
		} else {
			fmt.Fprint(w, "{}")
		}
	}))
	defer server.Close()
	var waits []time.Duration
	s := &Server{URL: server.URL, HTTP: server.Client(), Patience: 3 * time.Second,
		Busy: func(_ *Error, wait time.Duration) { waits = append(waits, wait) }}
	start := time.Now()
	if err := s.Call(t.Context(), http.MethodPost, "/", struct{}{}, &struct{}{}, 9); err != nil || asked != 3 {
		t.Errorf("%v after %d", err, asked)
	}
	if len(waits) != 2 || waits[0] != time.Second || waits[1] < firstPause || time.Since(start) < time.Second {
		t.Errorf("waits %v", waits)
	}
	asked, s.Patience = 0, 900*time.Millisecond
	if err := s.Call(t.Context(), http.MethodPost, "/", nil, nil, 9); err == nil || asked != 1 {
		t.Errorf("%v after %d", err, asked)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	asked, s.Patience = 0, time.Hour
	if err := s.Call(ctx, http.MethodPost, "/", nil, nil, 9); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
}
