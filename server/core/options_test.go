package core

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestOptions: what is not set has a default, and what is negative is refused by its name.
func TestOptions(t *testing.T) {
	var o Options
	if err := o.complete(); err != nil {
		t.Fatal(err)
	}
	if len(o.Models) != 1 || o.Models[0] != "demo" || o.Parallel != 8 || o.ParallelPerClient != 8 || o.Queue != 64 ||
		o.KeepAlive != 5*time.Minute || o.RequestTimeout != 10*time.Minute || o.WriteTimeout != 30*time.Second ||
		o.ReadTimeout != 30*time.Second || o.IdleTimeout != 2*time.Minute || o.Grace != 30*time.Second ||
		o.MaxBody != 8<<20 || o.MaxHeader != 64<<10 || o.OptionName("x") != "x" || o.Log == nil {
		t.Errorf("the defaults are %+v", o)
	}
	for _, test := range []struct {
		options Options
		places  int
	}{
		{Options{APIKeys: []string{"a"}}, 8}, {Options{APIKeys: []string{"a", "b"}}, 6}, {Options{APIKeys: []string{"a"}, AdminKeys: []string{"b"}}, 6},
		{Options{APIKeys: []string{"a"}, Keys: make([]Key, 1)}, 6}, {Options{AdminKeys: []string{"a"}, Keys: make([]Key, 1)}, 6},
		{Options{APIKeys: []string{"a", "b"}, Parallel: 1}, 1}, {Options{ParallelPerClient: 2}, 2},
	} {
		if err := test.options.complete(); err != nil || test.options.ParallelPerClient != test.places {
			t.Errorf("a client has %d places, want %d: %v", test.options.ParallelPerClient, test.places, err)
		}
	}
	for _, test := range []struct {
		says    string
		options Options
	}{
		{"Parallel ", Options{Parallel: -1}}, {"ParallelPerClient", Options{ParallelPerClient: -1}}, {"MemoryLimit", Options{MemoryLimit: -1}},
		{"ThinkingBudget", Options{ThinkingBudget: -1}}, {"timeout", Options{RequestTimeout: -1}}, {"timeout", Options{WriteTimeout: -1}},
		{"timeout", Options{ReadTimeout: -1}}, {"timeout", Options{IdleTimeout: -1}}, {"Grace", Options{Grace: -1}},
		{"DrainDelay", Options{DrainDelay: -1}}, {"MaxBody", Options{MaxBody: -1}}, {"MaxHeader", Options{MaxHeader: -1}},
		{"RateLimit", Options{RateLimit: -1}},
	} {
		if err := test.options.complete(); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("want an error about %s: %v", test.says, err)
		}
	}
}
