package llamacpp

import (
	"context"
	"encoding/json"
	"iter"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"trit"
	"trit/server/core"
	"trit/server/internal/servertest"
)

// TestBusySlots: what runs takes a place, and a client may ask whether one is free.
func TestBusySlots(t *testing.T) {
	w := servertest.NewWire(t, core.Options{Parallel: 1}, Routes)
	begun, end := make(chan bool), make(chan bool)
	w.Server.Generate = func(context.Context, *core.Job, []trit.GenerateOption) iter.Seq2[trit.Token, error] {
		return func(func(trit.Token, error) bool) { begun <- true; <-end }
	}
	finish := sync.OnceFunc(func() { close(end) })
	defer finish()
	answered := make(chan int, 1)
	go func() { answered <- w.Ask("POST", "/completion", servertest.Object{"prompt": "x"}).Status }()
	select {
	case <-begun:
	case status := <-answered:
		t.Fatalf("status %d, and nothing was generated", status)
	}
	var slots []slotReply
	w.Ask("GET", "/slots", nil).Into(200, &slots)
	if len(slots) != 1 || !slots[0].IsProcessing || slots[0].PromptTokens == 0 || slots[0].NextToken == nil || !slots[0].NextToken.HasNextToken {
		t.Errorf("%+v", slots)
	}
	w.Ask("GET", "/slots?fail_on_no_slot=1", nil).Into(503, nil)
	finish()
	if status := <-answered; status != 200 {
		t.Errorf("status %d", status)
	}
}

// TestErrorReply: statuses have names.
func TestErrorReply(t *testing.T) {
	for status, want := range map[int]string{400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
		429: "unavailable_error", 500: "server_error", 501: "not_supported_error", 503: "unavailable_error", 504: "server_error"} {
		if got := newErrorReply(&core.Error{Status: status}).Error.Type; got != want {
			t.Errorf("%d is %s, want %s", status, got, want)
		}
	}
}

// TestTimings: times are of what was computed, not of what the cache had.
func TestTimings(t *testing.T) {
	got := newTimings(&trit.Stats{PromptTokens: 10, CachedTokens: 6, PromptTime: 2 * time.Second, GeneratedTokens: 5, GenerateTime: time.Second})
	if want := (timings{PromptN: 4, PromptMS: 2000, PromptPerTokenMS: 500, PromptPerSecond: 2, PredictedN: 5, PredictedMS: 1000,
		PredictedPerToken: 200, PredictedPerSecond: 4, CacheN: 6}); *got != want {
		t.Errorf("%+v, want %+v", *got, want)
	}
}

// TestSplit: which prompts a request has.
func TestSplit(t *testing.T) {
	text, token := promptPart{isText: true}, promptPart{}
	list := promptPart{isList: true, list: promptField{token, token}}
	for _, test := range []struct {
		name    string
		field   promptField
		prompts int
		several bool
	}{
		{"nothing", nil, 0, false}, {"a text", promptField{text}, 1, false}, {"a token", promptField{token}, 1, false},
		{"texts", promptField{text, text}, 2, true}, {"a text and a token", promptField{text, token}, 1, false},
		{"a list", promptField{list}, 1, true}, {"a list and a text", promptField{list, text}, 2, true},
		{"as many as are allowed", slices.Repeat(promptField{text}, core.MaxTexts), core.MaxTexts, true},
	} {
		if got, several, err := test.field.split(); err != nil || len(got) != test.prompts || several != test.several {
			t.Errorf("%s: %d prompts, several %v, %v", test.name, len(got), several, err)
		}
	}
	if _, _, err := slices.Repeat(promptField{text}, core.MaxTexts+1).split(); core.Classify(err).Status != 400 {
		t.Errorf("too many: %v", err)
	}
	for body, want := range map[string][]int{ // the parts of its prompts; none: it is wrong
		`"a"`: {1}, `["a", 5]`: {2}, `["a", "b"]`: {1, 1}, `[[5, 6], [7], "a"]`: {2, 1, 1}, `[["a", 5, 6]]`: {3}, `{"prompt_string": "a"}`: {1},
		`[{"prompt_string": "a"}, [5, 6]]`: {1, 2}, `[[5, [6]]]`: nil, `[[5, {"prompt_string": "a"}]]`: nil, `{}`: nil, `[{}]`: nil, `5`: nil, `[true]`: nil, `[[true]]`: nil,
	} {
		var field promptField
		if err := json.Unmarshal([]byte(body), &field); err != nil {
			t.Errorf("%s: %v", body, err)
			continue
		}
		prompts, _, err := field.split()
		if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		var parts []int
		for _, prompt := range prompts {
			if prompt[0].wrong == "" {
				parts = append(parts, len(prompt))
			}
		}
		if !slices.Equal(parts, want) {
			t.Errorf("%s: prompts of %d parts, want %d", body, parts, want)
		}
	}
}

// TestPick: fields of an answer, also within others, and none that is not there.
func TestPick(t *testing.T) {
	answer := map[string]any{"a": map[string]any{"b": 1, "c": map[string]any{"d": 2}}, "e": nil, "f": "g"}
	got, err := pick(answer, []string{"a/b", "a/c/d", "e", "x", "a/x", "x/b", "f/g"})
	if want := map[string]any{"a/b": 1.0, "a/c/d": 2.0, "e": nil}; err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %v; want %v", got, err, want)
	}
}
