package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"trit/gguf"
)

// Offer is what [Pull] is about to download.
type Offer struct {
	Name    string // of the model in the store
	Size    int64  // bytes of all files, -1 if the server does not tell
	License string
	Entry   *Entry // the catalogue's, when the address was a name of it

	c     *client
	parts []remoteFile
}

// ErrNoHeader reports a model whose header cannot be read before the download.
var ErrNoHeader = errors.New("hub: the header cannot be read beforehand")

// Header opens the model's file as it is on the server, to read its header: only what is
// asked for comes over the network, some megabytes for the vocabulary. Models that are not
// one GGUF file, and servers that do not send parts of files, give an [ErrNoHeader]. The
// file can be used until ctx ends or Confirm returns.
func (o *Offer) Header(ctx context.Context) (*gguf.File, error) {
	if len(o.parts) != 1 || o.parts[0].whole || o.parts[0].size < 0 {
		return nil, ErrNoHeader
	}
	return gguf.NewReader(&remoteReader{ctx: ctx, c: o.c, file: &o.parts[0]}, o.parts[0].size)
}

func (p *puller) offer(s *selection, m *Manifest) *Offer {
	o := &Offer{Name: p.name, License: m.License, Entry: p.ref.entry, c: p.c, parts: s.parts}
	for _, f := range s.files() {
		if f.size < 0 {
			o.Size = -1
			break
		}
		o.Size += f.size
	}
	return o
}

// Bounds of reading a header over the network.
const (
	headerPiece = 1 << 20  // bytes of one request
	mostHeader  = 64 << 20 // bytes of all
)

// remoteReader reads a file on a server in pieces, of which it keeps the last.
type remoteReader struct {
	ctx   context.Context
	c     *client
	file  *remoteFile
	piece []byte
	start int64 // of the piece in the file
	read  int64 // bytes that came
}

func (r *remoteReader) ReadAt(b []byte, off int64) (int, error) {
	n := 0
	for n < len(b) {
		at := off + int64(n)
		if at >= r.file.size {
			return n, io.EOF
		}
		if at < r.start || at >= r.start+int64(len(r.piece)) {
			if err := r.fetch(at); err != nil {
				return n, err
			}
		}
		n += copy(b[n:], r.piece[at-r.start:])
	}
	return n, nil
}

// fetch gets the piece that begins at an offset.
func (r *remoteReader) fetch(at int64) error {
	end := min(at+headerPiece, r.file.size)
	if r.read += end - at; r.read > mostHeader {
		return fmt.Errorf("%w: it is longer than %s", ErrNoHeader, megabytes(mostHeader))
	}
	return r.c.retry(r.ctx, func() (int64, error) {
		ctx, cancel := context.WithTimeoutCause(r.ctx, r.c.tune.stall, errStalled)
		defer cancel()
		resp, err := r.c.get(ctx, r.file.url, http.Header{"Range": {fmt.Sprintf("bytes=%d-%d", at, end-1)}})
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		first, last, _, err := contentRange(resp.Header)
		if resp.StatusCode != http.StatusPartialContent || err != nil || first != at || last != end-1 {
			return 0, fmt.Errorf("%w: %s does not send parts of files", ErrNoHeader, show(r.file.url))
		}
		piece := make([]byte, end-at)
		if _, err := io.ReadFull(resp.Body, piece); err != nil {
			return 0, r.c.requestError(ctx, r.file.url, err)
		}
		r.piece, r.start = piece, at
		return end - at, nil
	})
}
