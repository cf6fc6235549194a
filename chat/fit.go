package chat

import "trit/internal/fault"

// ErrContext: a conversation does not fit the context even without its old turns.
var ErrContext = fault.ErrContext

// Fit drops the oldest turns of a conversation until count(messages) is at most limit, and returns
// what is kept and how many messages were dropped. A turn begins with a user message and reaches to
// the next one, so that what is kept starts with a user message, and tool calls stay with
// their results; whatever precedes the first user message goes first. System (and developer)
// messages are always kept, and so is the last turn: if these alone exceed the limit, the
// error matches [ErrContext] and names both numbers.
//
// count is usually the number of tokens of the rendered prompt, and limit the context length less the
// tokens that the answer may need. count is called about log₂(turns) times; it may not
// keep its argument. The messages themselves are never changed.
func Fit(messages []Message, count func([]Message) (int, error), limit int) (kept []Message, dropped int, err error) {
	n, err := count(messages)
	if err != nil {
		return nil, 0, err
	}
	if n <= limit {
		return messages, 0, nil
	}
	var turns []int // where a turn begins that something can be dropped before
	droppable := false
	for i := range messages {
		switch messages[i].Role {
		case "user":
			if droppable {
				turns = append(turns, i)
			}
			droppable = true
		case "system", "developer":
		default:
			droppable = true
		}
	}
	from := func(start int) []Message {
		out := make([]Message, 0, len(messages))
		for i, m := range messages {
			if i >= start || m.Role == "system" || m.Role == "developer" {
				out = append(out, m)
			}
		}
		return out
	}
	// The fewest dropped turns that fit: what remains shrinks with every turn dropped.
	lo, hi := 0, len(turns)
	var best []Message
	for lo < hi {
		mid := (lo + hi) / 2
		try := from(turns[mid])
		if n, err = count(try); err != nil {
			return nil, 0, err
		}
		if n <= limit {
			best, hi = try, mid
		} else {
			lo = mid + 1
		}
	}
	if best != nil {
		return best, len(messages) - len(best), nil
	}
	if len(turns) > 0 {
		if n, err = count(from(turns[len(turns)-1])); err != nil {
			return nil, 0, err
		}
	}
	return nil, 0, &fault.ContextError{What: "the last message with the system prompt", Tokens: n, Room: limit}
}
