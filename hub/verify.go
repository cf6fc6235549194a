package hub

import (
	"context"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"
)

// verify reads a file of the given size and compares it with what is known about
// f. The error wraps ErrChecksum, ErrSize, the context's, or a reader's.
func verify(ctx context.Context, f *remoteFile, r io.ReaderAt, size int64, m *meter) (*fetched, error) {
	if f.size >= 0 && size != f.size {
		return nil, fmt.Errorf("%w: %s has %d bytes, want %d", ErrSize, f.path, size, f.size)
	}
	sum, blob := sha256.New(), sha1.New()
	fmt.Fprintf(blob, "blob %d\x00", size) // git's checksum of a file
	hashes := []hash.Hash{sum}
	if f.blob != "" {
		hashes = append(hashes, blob)
	}
	if err := digest(ctx, r, size, m, f.path, hashes...); err != nil {
		return nil, err
	}
	result := &fetched{sha256: hex.EncodeToString(sum.Sum(nil)), size: size}
	if f.sha256 != "" && f.sha256 != result.sha256 {
		return nil, fmt.Errorf("%w: %s has the SHA-256 %s, want %s", ErrChecksum, f.path, result.sha256, f.sha256)
	}
	if got := hex.EncodeToString(blob.Sum(nil)); f.blob != "" && f.blob != got {
		return nil, fmt.Errorf("%w: %s has the git checksum %s, want %s", ErrChecksum, f.path, got, f.blob)
	}
	return result, nil
}

// digest feeds a file to hashes.
func digest(ctx context.Context, r io.ReaderAt, size int64, m *meter, name string, hashes ...hash.Hash) error {
	buf := make([]byte, min(1<<20, max(size, 1)))
	for pos := int64(0); pos < size; {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("hub: stopped: %w", context.Cause(ctx))
		}
		n, err := r.ReadAt(buf[:min(int64(len(buf)), size-pos)], pos)
		if n == 0 && err != nil {
			return fmt.Errorf("hub: reading %s: %w", name, err)
		}
		for _, h := range hashes {
			h.Write(buf[:n]) // never fails
		}
		pos += int64(n)
		m.verifying(name, pos, size)
	}
	return nil
}

// Stage is a step of [Pull].
type Stage string

// The stages.
const (
	Downloading Stage = "downloading"
	Verifying   Stage = "verifying"
)

// Progress says how far [Pull] has come.
type Progress struct {
	Stage Stage  `json:"stage"`
	File  string `json:"file,omitempty"` // the file that is verified
	Done  int64  `json:"done"`           // bytes of the stage
	Total int64  `json:"total"`          // or 0 where it is not known
}

// meter adds up the bytes of parallel downloads and reports them, not too often.
// A nil meter does nothing.
type meter struct {
	mu     sync.Mutex
	report func(Progress) // may be nil
	done   int64
	total  int64
	came   int64 // bytes that came over the network
	last   time.Time

	interval time.Duration // least time between two reports
}

func (m *meter) add(n int64) {
	if m == nil || n == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	m.tell(Progress{Stage: Downloading, Done: m.done, Total: m.total}, m.done == m.total)
}

// arrived counts bytes from the network.
func (m *meter) arrived(n int64) {
	m.mu.Lock()
	m.came += n
	m.mu.Unlock()
	m.add(n)
}

// verifying reports the progress of a checksum. Small files are not worth it.
func (m *meter) verifying(name string, done, total int64) {
	if m == nil || total < 64<<20 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tell(Progress{Stage: Verifying, File: name, Done: done, Total: total}, done == total)
}

// tell calls report with the lock held, so that calls do not overlap.
func (m *meter) tell(p Progress, always bool) {
	if m.report == nil || !always && time.Since(m.last) < m.interval {
		return
	}
	m.last = time.Now()
	m.report(p)
}

// expect sets how many bytes are to come in all.
func (m *meter) expect(total int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.total = total
}
