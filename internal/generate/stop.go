package generate

import (
	"strings"

	"trit/internal/fault"
)

func validateStops(stops []string) error {
	for i, stop := range stops {
		if stop == "" {
			return fault.Option("stop", "stop string %d is empty", i)
		}
	}
	return nil
}

// stopper finds stop strings in a text that arrives in pieces. It holds back
// the end of the text as long as that could be the beginning of a stop string.
type stopper struct {
	stops []string
	held  string
	found string // the stop string that has come up
}

func newStopper(stops []string) *stopper { return &stopper{stops: stops} }

// push adds text and returns what can no longer be part of a stop string. Once
// a stop string has been found it returns only the text before it.
func (s *stopper) push(text string) string {
	if s.found != "" {
		return ""
	}
	if len(s.stops) == 0 {
		return text
	}
	text = s.held + text
	if start, stop := cut(text, s.stops); start >= 0 {
		s.found, s.held = stop, ""
		return text[:start]
	}
	keep := 0
	for _, stop := range s.stops {
		for n := min(len(stop)-1, len(text)); n > keep; n-- {
			if strings.HasSuffix(text, stop[:n]) {
				keep = n
			}
		}
	}
	s.held = text[len(text)-keep:]
	return text[:len(text)-keep]
}

// cut returns where the text is to be cut: at the start of the stop string that
// is complete first, which is the same wherever the pieces of the text end. Of
// two that are complete at once the longer one counts. It returns −1 without one.
func cut(text string, stops []string) (start int, found string) {
	start = -1
	end := len(text) + 1
	for _, stop := range stops {
		i := strings.Index(text, stop)
		if i < 0 {
			continue
		}
		if e := i + len(stop); e < end || e == end && i < start {
			start, end, found = i, e, stop
		}
	}
	return start, found
}

// flush returns what is held back, at the end of the text.
func (s *stopper) flush() string {
	held := s.held
	s.held = ""
	return held
}

// isEnd reports whether a token ends the text.
func (a *choice) isEnd(id int32) bool {
	for _, stop := range a.options.StopTokens {
		if id == stop {
			return true
		}
	}
	return !a.options.IgnoreEnd && a.tokenizer.IsEOG(id)
}

// forbidEnd takes the end tokens out of a mask, unless nothing else is in it.
func (a *choice) forbidEnd(mask []uint64) {
	saved := mask
	forbid := func(id int32) {
		if id >= 0 && int(id)/64 < len(mask) {
			mask[id/64] &^= 1 << (id % 64)
		}
	}
	if a.constraint != nil {
		saved = append([]uint64(nil), mask...)
	}
	for _, id := range a.options.StopTokens {
		forbid(id)
	}
	if !a.options.IgnoreEnd {
		for _, id := range a.tokenizer.EOG() {
			forbid(id)
		}
	}
	for _, word := range mask {
		if word != 0 {
			return
		}
	}
	copy(mask, saved)
}
