package trit

import "time"

// CollectStats stores counts and times so far with each token, and all of them when the generation ends.
func CollectStats(s *Stats) GenerateOption {
	return func(o *generateOptions) {
		if o.stats = s; s == nil {
			o.fail("collect_stats", errNil)
		}
	}
}

// OnPrompt has f told how far the prompt is: before the first of its tokens is run, from
// time to time, and when all have been. The goroutine that reads the tokens calls it, before
// the first of them.
func OnPrompt(f func(PromptProgress)) GenerateOption {
	return func(o *generateOptions) {
		if o.Progress = f; f == nil {
			o.fail("on_prompt", errNil)
		}
	}
}

// Arrived says when a request has come that had to wait before its generation
// began; Metrics counts from then. The default is the beginning.
func Arrived(t time.Time) GenerateOption { return func(o *generateOptions) { o.arrived = t } }
