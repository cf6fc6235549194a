package core

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// TestKeepAlive waits for comments in a stream that has nothing to say.
func TestKeepAlive(t *testing.T) {
	s, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	hs := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		live := s.newReply(w, r, Events, 10*time.Millisecond)
		defer live.Close()
		time.Sleep(60 * time.Millisecond)
		if err := live.Done(); err != nil {
			t.Error(err)
		}
	}))
	defer hs.Close()
	res, err := http.Get(hs.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(string(data), ": keep-alive\n\n") || !strings.HasSuffix(string(data), "data: [DONE]\n\n") {
		t.Errorf("%q", data)
	}
}
