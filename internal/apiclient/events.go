package apiclient

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
)

// ErrCut: a stream ended before its end.
var ErrCut = errors.New("the answer was cut")

// doneEvent ends a stream of OpenAI's API.
const doneEvent = "[DONE]"

// Events yields the data of server-sent events up to the one that ends them all; a stream without it ends with
// [ErrCut].
func Events(stream io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		r := bufio.NewReader(stream)
		var data, line []byte
		for {
			part, more, err := r.ReadLine()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					err = fmt.Errorf("%w: %w", ErrCut, err)
				} else {
					err = fmt.Errorf("%w: the stream has no end", ErrCut)
				}
				yield(nil, err)
				return
			}
			if line = append(line, part...); len(line)+len(data) > maxEvent {
				yield(nil, fmt.Errorf("an event of the answer has more than %d bytes", maxEvent))
				return
			}
			if more {
				continue
			}
			value, ok := bytes.CutPrefix(line, []byte("data:"))
			switch {
			case ok && data != nil:
				data = append(data, '\n')
				fallthrough
			case ok:
				data = append(data, bytes.TrimPrefix(value, []byte(" "))...)
			case len(line) == 0 && string(data) == doneEvent:
				return
			case len(line) == 0 && len(data) > 0:
				if !yield(data, nil) {
					return
				}
				data = nil
			}
			line = line[:0]
		}
	}
}
