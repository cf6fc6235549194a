// Package termtext shows text of strangers on a terminal: what a model writes,
// the names in a file or a registry. To a terminal control characters are commands,
// which may retitle it, fill the clipboard or worse.
package termtext

import (
	"io"
	"unicode/utf8"
)

// Writer passes text on, with U+FFFD in place of every control character but newline and
// tab, and of every byte that is no UTF-8.
type Writer struct {
	Terminal io.Writer
	rest     []byte // the beginning of a character
	buf      []byte
}

// Write implements io.Writer. A character that is not complete is kept until it is.
func (w *Writer) Write(p []byte) (int, error) {
	text := p
	if len(w.rest) > 0 {
		text = append(w.rest, p...)
	}
	w.buf = w.buf[:0]
	for len(text) > 0 && utf8.FullRune(text) {
		r, size := utf8.DecodeRune(text)
		if r < ' ' && r != '\n' && r != '\t' || r >= 0x7f && r < 0xa0 {
			r = utf8.RuneError
		}
		w.buf = utf8.AppendRune(w.buf, r)
		text = text[size:]
	}
	w.rest = append([]byte(nil), text...)
	if _, err := w.Terminal.Write(w.buf); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Raw returns what a stream writes to, for a program's own control characters.
func Raw(stream io.Writer) io.Writer {
	if w, ok := stream.(*Writer); ok {
		return w.Terminal
	}
	return stream
}
