package safetensors

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"trit/internal/order"
	"trit/internal/textfile"
)

const (
	// maxHeader is the longest header that the format's reference reader accepts.
	maxHeader = 100_000_000
	// maxDims bounds the rank of a tensor; no framework has more.
	maxDims = 64
	// metadataKey is the header entry that is not a tensor.
	metadataKey = "__metadata__"
)

// parseFile reads a whole file: it returns its tensors in the order of their
// data, and its metadata.
func parseFile(file []byte) ([]*Tensor, map[string]string, error) {
	if len(file) < 8 {
		return nil, nil, fmt.Errorf("%w: %d bytes, the header length alone takes 8", ErrTruncated, len(file))
	}
	n := binary.LittleEndian.Uint64(file)
	if n > maxHeader {
		if textfile.Placeholder(file) {
			return nil, nil, fmt.Errorf("%w: it is a placeholder of Git LFS; download the file itself", ErrHeader)
		}
		return nil, nil, fmt.Errorf("%w: header length %d, the format allows at most %d (is this a safetensors file?)", ErrHeader, n, maxHeader)
	}
	if n > uint64(len(file)-8) {
		return nil, nil, fmt.Errorf("%w: the header of %d bytes ends beyond the file of %d bytes", ErrTruncated, n, len(file))
	}
	header, data := file[8:8+n], file[8+n:]
	tensors, metadata, err := parseHeader(header)
	if err != nil {
		return nil, nil, err
	}
	end := int64(0) // of the tensors so far, relative to the data
	last := ""
	for _, t := range tensors {
		begin, size := t.Offset, t.Elements()*t.DType.Size()
		switch {
		case begin+size > int64(len(data)):
			return nil, nil, fmt.Errorf("%w: tensor %q needs data bytes %d to %d, the file has %d", ErrTruncated, t.Name, begin, begin+size, len(data))
		case begin < end && size > 0:
			return nil, nil, fmt.Errorf("%w: tensor %q begins at data byte %d, inside tensor %q", ErrHeader, t.Name, begin, last)
		}
		t.data = data[begin : begin+size : begin+size]
		t.Offset = 8 + int64(n) + begin
		if size > 0 {
			end, last = begin+size, t.Name
		}
	}
	return tensors, metadata, nil
}

// parseHeader reads the JSON. The tensors come in the order of their data, with
// Offset relative to the data section. Each tensor's range is verified against its
// type and shape, but not against the file or the other tensors.
func parseHeader(header []byte) ([]*Tensor, map[string]string, error) {
	if !utf8.Valid(header) {
		return nil, nil, fmt.Errorf("%w: not UTF-8", ErrHeader)
	}
	p, err := newHeaderParser(header)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrHeader, err)
	}
	var tensors []*Tensor
	var metadata map[string]string
	seen := map[string]bool{}
	err = p.object(func(name string) error {
		if seen[name] {
			return fmt.Errorf("%w: %q appears twice", ErrHeader, name)
		}
		seen[name] = true
		if name == metadataKey {
			var err error
			metadata, err = p.metadata()
			return err
		}
		t, err := p.tensor(name)
		tensors = append(tensors, t)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	order.Stable(tensors, func(a, b *Tensor) int {
		switch {
		case a.Offset < b.Offset:
			return -1
		case a.Offset > b.Offset:
			return 1
		}
		return 0
	})
	return tensors, metadata, nil
}

// headerParser reads the header token by token: unlike unmarshalling into a map,
// that notices names that appear twice.
type headerParser struct {
	json *json.Decoder
}

// newHeaderParser checks that text is one JSON value and nothing else (spaces
// aside), which the token reader alone would not notice.
func newHeaderParser(text []byte) (*headerParser, error) {
	var whole json.RawMessage
	if err := json.Unmarshal(text, &whole); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return nil, fmt.Errorf("byte %d: %w", syntax.Offset, err)
		}
		return nil, err
	}
	p := &headerParser{json: json.NewDecoder(bytes.NewReader(text))}
	p.json.UseNumber()
	return p, nil
}

// token returns the next token, with a syntax error placed and classed.
func (p *headerParser) token() (json.Token, error) {
	token, err := p.json.Token()
	if err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("%w: byte %d: %w", ErrHeader, p.json.InputOffset(), err)
	}
	return token, nil
}

func (p *headerParser) delim(want json.Delim) error {
	token, err := p.token()
	if err != nil {
		return err
	}
	if token != want {
		return fmt.Errorf("%w: byte %d: found %v, expected %q", ErrHeader, p.json.InputOffset(), token, want.String())
	}
	return nil
}

// object reads an object and calls member after each key; member reads the value.
func (p *headerParser) object(member func(key string) error) error {
	if err := p.delim('{'); err != nil {
		return err
	}
	for p.json.More() {
		token, err := p.token()
		if err != nil {
			return err
		}
		key, ok := token.(string)
		if !ok {
			return fmt.Errorf("%w: byte %d: found %v, expected a name", ErrHeader, p.json.InputOffset(), token)
		}
		if err := member(key); err != nil {
			return err
		}
	}
	return p.delim('}')
}

func (p *headerParser) text(what string) (string, error) {
	token, err := p.token()
	if err != nil {
		return "", err
	}
	s, ok := token.(string)
	if !ok {
		return "", fmt.Errorf("%w: %s is %v, not a string", ErrHeader, what, token)
	}
	return s, nil
}

// sizes reads an array of at most limit non-negative integers.
func (p *headerParser) sizes(what string, limit int) ([]int64, error) {
	if err := p.delim('['); err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	values := []int64{}
	for p.json.More() {
		token, err := p.token()
		if err != nil {
			return nil, err
		}
		number, ok := token.(json.Number)
		if !ok {
			return nil, fmt.Errorf("%w: %s holds %v, not a number", ErrHeader, what, token)
		}
		v, err := strconv.ParseInt(number.String(), 10, 64)
		if err != nil || v < 0 {
			return nil, fmt.Errorf("%w: %s holds %s, not an integer from 0 to 2⁶³−1", ErrHeader, what, number)
		}
		if len(values) == limit {
			return nil, fmt.Errorf("%w: %s has more than %d entries", ErrHeader, what, limit)
		}
		values = append(values, v)
	}
	return values, p.delim(']')
}

func (p *headerParser) metadata() (map[string]string, error) {
	metadata := map[string]string{}
	err := p.object(func(key string) error {
		if _, ok := metadata[key]; ok {
			return fmt.Errorf("%w: metadata key %q appears twice", ErrHeader, key)
		}
		value, err := p.text(fmt.Sprintf("metadata key %q", key))
		metadata[key] = value
		return err
	})
	return metadata, err
}

func (p *headerParser) tensor(name string) (*Tensor, error) {
	t := &Tensor{Name: name}
	var offsets []int64
	seen := map[string]bool{}
	err := p.object(func(key string) (err error) {
		if seen[key] {
			return fmt.Errorf("%w: tensor %q: %q appears twice", ErrHeader, name, key)
		}
		seen[key] = true
		switch key {
		case "dtype":
			var dtype string
			dtype, err = p.text(fmt.Sprintf("dtype of tensor %q", name))
			t.DType = DType(strings.Clone(dtype))
		case "shape":
			t.Shape, err = p.sizes(fmt.Sprintf("shape of tensor %q", name), maxDims)
		case "data_offsets":
			offsets, err = p.sizes(fmt.Sprintf("data_offsets of tensor %q", name), 2)
		default:
			err = fmt.Errorf("%w: tensor %q has an unknown entry %q", ErrHeader, name, key)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, key := range []string{"dtype", "shape", "data_offsets"} {
		if !seen[key] {
			return nil, fmt.Errorf("%w: tensor %q has no %s", ErrHeader, name, key)
		}
	}
	size, err := tensorSize(t.DType, t.Shape)
	if err != nil {
		return nil, fmt.Errorf("tensor %q: %w", name, err)
	}
	if len(offsets) != 2 || offsets[0] > offsets[1] {
		return nil, fmt.Errorf("%w: tensor %q has data_offsets %v, not a begin and an end", ErrHeader, name, offsets)
	}
	if found := offsets[1] - offsets[0]; found != size {
		return nil, fmt.Errorf("%w: tensor %q of %s %v takes %d bytes, data_offsets %v span %d", ErrHeader, name, t.DType, t.Shape, size, offsets, found)
	}
	t.Offset = offsets[0]
	return t, nil
}

// tensorSize returns the bytes that a tensor takes.
func tensorSize(d DType, shape []int64) (int64, error) {
	size := d.Size()
	if size == 0 {
		return 0, fmt.Errorf("%w: %q (known: F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL)", ErrDType, string(d))
	}
	empty := slices.Contains(shape, 0)
	for _, n := range shape {
		if n < 0 || n > 0 && size > math.MaxInt64/n {
			// Also where another dimension is 0: partial products must not overflow.
			return 0, fmt.Errorf("%w: shape %v has too many elements", ErrHeader, shape)
		}
		if n > 0 {
			size *= n
		}
	}
	if empty {
		return 0, nil
	}
	return size, nil
}
