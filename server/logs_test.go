package server

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"trit/internal/kernel"
)

// messages returns the msg and the path of each line of a log.
func messages(t *testing.T, lines string) (all []string) {
	t.Helper()
	for line := range strings.Lines(lines) {
		var l struct{ Msg, Path string }
		if err := json.Unmarshal([]byte(line), &l); err != nil {
			t.Fatalf("%v in %q", err, line)
		}
		all = append(all, l.Msg+" "+l.Path)
	}
	return all
}

// TestLogs: the last lines of the log, or all that come until the server stops.
func TestLogs(t *testing.T) {
	s := serve(t, Options{})
	s.do("GET", "/first", "").expect(t, 404)
	s.until("the first request is in the log", func() bool {
		return slices.Contains(messages(t, s.do("GET", "/debug/logs", "").body), "request /first")
	})
	s.do("GET", "/second", "").expect(t, 404)
	s.until("the second is", func() bool {
		all := messages(t, s.do("GET", "/debug/logs?lines=3", "").body)
		return slices.Contains(all, "request /second") && len(all) == 3
	})
	s.do("GET", "/debug/logs?lines=-1", "").expect(t, 400, "lines")
	s.do("GET", "/debug/logs?follow=perhaps", "").expect(t, 400, "follow")

	answer, err := client.Get(s.url + "/debug/logs?lines=0&follow=true")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if kind := answer.Header.Get("Content-Type"); kind != "application/x-ndjson" {
		t.Errorf("the content type is %q", kind)
	}
	s.do("GET", "/third", "").expect(t, 404)
	in := bufio.NewScanner(answer.Body)
	for found := false; !found; {
		if !in.Scan() {
			t.Fatalf("the log ends before the third request: %v", in.Err())
		}
		found = messages(t, in.Text())[0] == "request /third"
	}
	s.core.Drain()
	for in.Scan() { // ends, though nobody has left
	}
	if err := in.Err(); err != nil {
		t.Error(err)
	}
}

// TestLogsAreOurs: the log is not for those who come from elsewhere.
func TestLogsAreOurs(t *testing.T) {
	open := serve(t, Options{})
	open.do("GET", "/debug/logs", "").expect(t, 200)
	open.do("GET", "/debug/logs", "", "X-Forwarded-For", "192.0.2.1").expect(t, 403, "not_allowed")
	keys := serve(t, Options{APIKeys: []string{"one"}, AdminKeys: []string{"root"}})
	keys.do("GET", "/debug/logs", "").expect(t, 401)
	keys.do("GET", "/debug/logs", "", "Authorization", "Bearer one").expect(t, 403, "admin")
	keys.do("GET", "/debug/logs", "", "Authorization", "Bearer root").expect(t, 200)
	remote, err := New(Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer remote.Close()
	// Without a listener on a loopback address.
	request, err := http.NewRequestWithContext(context.Background(), "GET", "http://localhost/debug/logs", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := remote.Transport().RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 403 {
		t.Errorf("status %d", answer.StatusCode)
	}
}

// TestAccessLog: what stands in the line of a request is what docs/serving.md says.
func TestAccessLog(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "docs", "serving.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n### The log\n")
	section, _, _ = strings.Cut(section, "\n### ")
	documented := map[string]bool{}
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); len(cells) == 4 {
			for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[1], -1) {
				documented[name[1]] = true
			}
		}
	}
	s := serve(t, Options{APIKeys: []string{"one"}, AdminKeys: []string{"root"}})
	prompt := strings.Repeat("Once upon a time there was a fox. ", 20)
	var line map[string]any
	for _, id := range []string{"first", "second"} {
		s.do("POST", "/v1/completions", `{"prompt": "`+prompt+`", "max_tokens": 3}`, "Authorization", "Bearer one",
			"X-Request-Id", id, "User-Agent", "a test/1.0 "+strings.Repeat("x", 500)).expect(t, 200)
		s.do("GET", "/ready", "").expect(t, 200)
		s.until("the request is in the log", func() bool {
			for text := range strings.Lines(s.do("GET", "/debug/logs", "", "Authorization", "Bearer root").body) {
				line = nil
				if err := json.Unmarshal([]byte(text), &line); err != nil {
					t.Fatal(err)
				}
				if line["path"] == "/ready" && line["level"] != "DEBUG" {
					t.Errorf("a probe: %s", text)
				}
				if line["id"] == id {
					return true
				}
			}
			return false
		})
	}
	for name := range line {
		if !documented[name] {
			t.Errorf("docs/serving.md does not know the field %s", name)
		}
		delete(documented, name)
	}
	for _, other := range []string{"schema", "error", "guessed_tokens", "accepted_tokens"} { // not of this request
		delete(documented, other)
	}
	if len(documented) > 0 {
		t.Errorf("these fields are documented, but not in %v: %v", line, documented)
	}
	number := func(name string) float64 { n, _ := line[name].(float64); return n }
	if number("cached_tokens") < 2*kernel.PageTokens || number("prompt_tokens") <= number("cached_tokens") || number("tokens") != 3 {
		t.Errorf("tokens: %v", line)
	}
	if q, f, d := number("queued"), number("first_token"), number("duration"); q <= 0 || f < q || d < f {
		t.Errorf("times: %v", line)
	}
	if agent := line["user_agent"].(string); !strings.HasPrefix(agent, "a test/1.0 x") || len(agent) != 200 {
		t.Errorf("user agent %q", agent)
	}
}
