package layers

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// What the header of a layer trace begins with.
const (
	layerFormat  = "trit-layers"
	layerVersion = 1
)

// Writer writes a trace as JSON while it is made: one object with the
// members "header", "stages" (an array with one Record on each line) and
// "lens" (an array of LensRecord). It implements [Sink].
type Writer struct {
	w       *bufio.Writer
	stages  int
	lens    []LensRecord // written at the end, so that both arrays are whole
	started bool
}

// NewWriter returns a writer of a trace. Close completes it.
func NewWriter(w io.Writer) *Writer {
	return &Writer{w: bufio.NewWriterSize(w, 64<<10)}
}

// Header implements Sink.
func (w *Writer) Header(h *Header) error {
	text, err := json.MarshalIndent(h, "  ", "  ")
	if err != nil {
		return err
	}
	w.started = true
	_, err = fmt.Fprintf(w.w, "{\n  \"header\": %s,\n  \"stages\": [", text)
	return err
}

// Stage implements Sink.
func (w *Writer) Stage(r *Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	separator := ",\n    "
	if w.stages == 0 {
		separator = separator[1:]
	}
	w.stages++
	if _, err := w.w.WriteString(separator); err != nil {
		return err
	}
	_, err = w.w.Write(text)
	return err
}

// Lens implements Sink.
func (w *Writer) Lens(r *LensRecord) error {
	w.lens = append(w.lens, *r)
	return nil
}

// Close writes the end of the trace. It does not close the underlying writer.
func (w *Writer) Close() error {
	if !w.started {
		return fmt.Errorf("%w: it ends before its header", ErrFile)
	}
	if _, err := w.w.WriteString("\n  ],\n  \"lens\": ["); err != nil {
		return err
	}
	for i := range w.lens {
		text, err := json.Marshal(&w.lens[i])
		if err != nil {
			return err
		}
		separator := ",\n    "
		if i == 0 {
			separator = separator[1:]
		}
		if _, err := w.w.WriteString(separator + string(text)); err != nil {
			return err
		}
	}
	if _, err := w.w.WriteString("\n  ]\n}\n"); err != nil {
		return err
	}
	return w.w.Flush()
}

// Reader reads what Writer has written, one record at a time.
type Reader struct {
	dec    *json.Decoder
	header *Header
	lens   []LensRecord
	state  readerState
}

type readerState uint8

const (
	inObject readerState = iota
	inStages
	atEnd
)

// NewReader reads the beginning of a trace, up to its records. The error is
// ErrFile if it is none.
func NewReader(r io.Reader) (*Reader, error) {
	l := &Reader{dec: json.NewDecoder(r)}
	if t, err := l.dec.Token(); err != nil || t != json.Delim('{') {
		return nil, l.damaged("it does not begin with an object", err)
	}
	if err := l.members(); err != nil {
		return nil, err
	}
	if l.header == nil {
		return nil, l.damaged("it has no header before its stages", nil)
	}
	return l, nil
}

// Header returns what the trace was made of.
func (l *Reader) Header() *Header { return l.header }

// Next reads the next record; after the last it returns io.EOF.
func (l *Reader) Next() (*Record, error) {
	if l.state == atEnd {
		return nil, io.EOF
	}
	if !l.dec.More() {
		if _, err := l.dec.Token(); err != nil {
			return nil, l.damaged("the list of stages does not end", err)
		}
		l.state = inObject
		if err := l.members(); err != nil {
			return nil, err
		}
		if l.state != atEnd {
			return nil, l.damaged("it has two lists of stages", nil)
		}
		return nil, io.EOF
	}
	r := &Record{}
	if err := l.dec.Decode(r); err != nil {
		return nil, l.damaged("a record", err)
	}
	if r.Stage == "" || len(r.Shape) != 1 || r.Shape[0] < 0 {
		return nil, l.damaged(fmt.Sprintf("the record of stage %q, token %d, has no shape [width]", r.Stage, r.Token), nil)
	}
	return r, nil
}

// Lens returns the records of the logit lens once Next has returned io.EOF.
func (l *Reader) Lens() []LensRecord { return l.lens }

// members reads the members of the outer object up to the first record or to the
// end.
func (l *Reader) members() error {
	for l.dec.More() {
		key, err := l.dec.Token()
		if err != nil {
			return l.damaged("a member's name", err)
		}
		switch key {
		case "header":
			l.header = &Header{}
			if err := l.dec.Decode(l.header); err != nil {
				return l.damaged("the header", err)
			}
			if err := l.checkHeader(); err != nil {
				return err
			}
		case "stages":
			if t, err := l.dec.Token(); err != nil || t != json.Delim('[') {
				return l.damaged("stages is no array", err)
			}
			l.state = inStages
			return nil
		case "lens":
			if err := l.dec.Decode(&l.lens); err != nil {
				return l.damaged("the lens", err)
			}
		default:
			var skipped json.RawMessage
			if err := l.dec.Decode(&skipped); err != nil {
				return l.damaged(fmt.Sprintf("member %q", key), err)
			}
		}
	}
	if _, err := l.dec.Token(); err != nil {
		return l.damaged("it is cut off", err)
	}
	l.state = atEnd
	return nil
}

func (l *Reader) checkHeader() error {
	h := l.header
	switch {
	case h.Format != layerFormat:
		return l.damaged(fmt.Sprintf("its format is %.40q, want %q", h.Format, layerFormat), nil)
	case h.Version != layerVersion:
		return l.damaged(fmt.Sprintf("it has version %d, this program reads version %d", h.Version, layerVersion), nil)
	case len(h.Positions) == 0 || len(h.Tokens) == 0:
		return l.damaged("its header names no tokens", nil)
	}
	for _, p := range h.Positions {
		if p < 0 || p >= len(h.Tokens) {
			return l.damaged(fmt.Sprintf("its header has position %d, but %d tokens", p, len(h.Tokens)), nil)
		}
	}
	return nil
}

func (l *Reader) damaged(what string, err error) error {
	switch {
	case errors.Is(err, ErrFile):
		return fmt.Errorf("%s: %w", what, err)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: %s: it ends at byte %d, in the middle; record it again", ErrFile, what, l.dec.InputOffset())
	case err != nil:
		return fmt.Errorf("%w: %s: at byte %d: %w", ErrFile, what, l.dec.InputOffset(), err)
	}
	return fmt.Errorf("%w: %s", ErrFile, what)
}

// Source is a trace that can be compared: a file of [Writer], or a
// reference's dump. It is made by Open.
type Source struct {
	path   string
	file   *os.File
	reader *Reader    // nil for a dump
	dump   *stageDump // nil for a trace
}

// Open opens a trace, or the list of stages of a dump (see [Compare]),
// whichever the file is.
func Open(path string) (*Source, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &Source{path: path, file: f}
	if err := s.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), f.Close())
	}
	return s, nil
}

func (s *Source) open() error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	if info.IsDir() {
		return fmt.Errorf("%w: it is a folder", ErrFile)
	}
	r := bufio.NewReaderSize(s.file, 64<<10) // a pipe will do as well
	first, err := firstByte(r)
	switch {
	case err != nil:
		return err
	case first == '[':
		s.dump, err = openDump(s.path, r)
		return err
	case first == '{':
		s.reader, err = NewReader(r)
		return err
	}
	return fmt.Errorf("%w: it is not JSON, as a trace that was recorded is", ErrFile)
}

// Close closes the file.
func (s *Source) Close() error {
	err := s.file.Close()
	if s.dump != nil {
		err = errors.Join(err, s.dump.values.Close())
	}
	return err
}

// firstByte returns the first byte that is not white space, which is read next.
func firstByte(r *bufio.Reader) (byte, error) {
	for {
		c, err := r.ReadByte()
		switch {
		case errors.Is(err, io.EOF):
			return 0, fmt.Errorf("%w: it is empty", ErrFile)
		case err != nil:
			return 0, err
		case c > ' ':
			return c, r.UnreadByte()
		}
	}
}
