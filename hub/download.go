package hub

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// download fetches one file: in segments, over several connections, into a part
// file beside which a state file says what is there.
type download struct {
	c     *client
	file  *remoteFile
	path  string // of the finished file
	meter *meter
	part  partFile

	resumed int64 // bytes that were there at the beginning

	mu    sync.Mutex
	state state
	high  []int64 // per segment: the largest done so far
}

// fetched is a file that is complete and verified.
type fetched struct {
	sha256 string
	size   int64
}

// fetch downloads a file to path, or finishes a download that was interrupted.
// What is at path afterwards has the announced size and checksum. After an error
// there is nothing at path, but what has come is kept for the next time, unless
// it is worthless.
func (c *client) fetch(ctx context.Context, f *remoteFile, path string, m *meter) (*fetched, error) {
	if done, err := c.fetchedBefore(ctx, f, path, m); done != nil || err != nil {
		return done, err
	}
	for again := false; ; again = true {
		d, err := c.begin(f, path, m)
		if err != nil {
			return nil, err
		}
		result, err := d.run(ctx)
		if e := d.part.Close(); e != nil && err == nil {
			err = writeError(path, e)
		}
		switch {
		case err == nil:
			if err := os.Rename(path+partSuffix, path); err != nil {
				return nil, fmt.Errorf("hub: %w", err)
			}
			return result, removeAll(path + stateSuffix)
		case errors.Is(err, ErrChecksum) || errors.Is(err, ErrChanged) || errors.Is(err, ErrSize):
			if e := removeAll(path+partSuffix, path+stateSuffix); e != nil {
				return nil, errors.Join(err, e)
			}
			m.add(-d.state.done())
			if errors.Is(err, ErrChecksum) && d.resumed > 0 && !again {
				// What was on disk may have been lost in a crash of the machine.
				c.log.Warn("hub: the continued download is damaged, it is begun anew", "file", f.path, "error", err)
				continue
			}
		}
		return nil, err
	}
}

// fetchedBefore returns the file at path if it is the one that is wanted.
func (c *client) fetchedBefore(ctx context.Context, f *remoteFile, path string, m *meter) (*fetched, error) {
	file, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	if info.Size() == f.size && (f.sha256 != "" || f.blob != "") {
		result, err := verify(ctx, f, file, f.size, m)
		if err == nil {
			m.add(f.size)
			return result, nil
		}
		if !errors.Is(err, ErrChecksum) {
			return nil, err
		}
	}
	file.Close() // Windows does not remove open files
	return nil, removeAll(path)
}

// begin opens the part file and takes up the state where that is possible.
func (c *client) begin(f *remoteFile, path string, m *meter) (*download, error) {
	old, err := loadState(f, path)
	if err != nil {
		return nil, err
	}
	d := &download{c: c, file: f, path: path, meter: m}
	if old != nil {
		d.state = *old
		d.resumed = old.done()
		c.log.Info("hub: going on with an interrupted download", "file", f.path, "done", d.resumed, "size", f.size)
	} else {
		if err := removeAll(path+partSuffix, path+stateSuffix); err != nil {
			return nil, err
		}
		d.state = newState(f, c.tune.segment)
	}
	d.setHigh()
	if d.part, err = c.tune.openPart(path + partSuffix); err != nil {
		return nil, writeError(path, err)
	}
	if f.size >= 0 {
		if err := d.part.Truncate(f.size); err != nil {
			d.part.Close()
			return nil, writeError(path, err)
		}
	}
	m.add(d.resumed)
	return d, nil
}

func (d *download) setHigh() {
	d.high = make([]int64, len(d.state.Segments))
	for i, g := range d.state.Segments {
		d.high[i] = g.done
	}
}

// run transfers and verifies.
func (d *download) run(ctx context.Context) (*fetched, error) {
	stop := d.keepState()
	err := d.transfer(ctx)
	if errors.Is(err, errWhole) {
		d.c.log.Info("hub: the server does not send parts of files, so that an interrupted download begins anew", "file", d.file.path)
		d.mu.Lock()
		d.meter.add(-d.state.done())
		d.file.whole = true
		d.state = newState(d.file, 0)
		d.setHigh()
		d.mu.Unlock()
		err = d.transfer(ctx)
	}
	stop()
	if err == nil {
		if e := d.part.Sync(); e != nil {
			err = writeError(d.path, e)
		}
	}
	if e := d.save(); e != nil {
		d.c.log.Warn("hub: the state of the download cannot be kept", "file", d.file.path, "error", e)
	}
	if err != nil {
		return nil, err
	}
	return verify(ctx, d.file, d.part, d.state.done(), d.meter)
}

// keepState records the state now and then until the result is called.
func (d *download) keepState() (stop func()) {
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(d.c.tune.save)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				if err := d.save(); err != nil {
					d.c.log.Debug("hub: the state of the download cannot be kept", "file", d.file.path, "error", err)
				}
			}
		}
	}()
	return func() { close(quit); <-ended }
}

// save writes the state file. What the state promises is on the disk before.
func (d *download) save() error {
	d.mu.Lock()
	s := d.state
	s.Segments = append([]segment(nil), s.Segments...)
	d.mu.Unlock()
	if s.Identity == "" || s.Size < 0 {
		return nil // nothing would tell that the rest belongs to the same file
	}
	if err := d.part.Sync(); err != nil {
		return err
	}
	return writeJSON(d.path+stateSuffix, s)
}

// transfer fetches all that is missing. The first error ends it.
func (d *download) transfer(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var missing []int
	for i, g := range d.state.Segments {
		if g.end < 0 || g.done < g.end-g.start {
			missing = append(missing, i)
		}
	}
	queue := make(chan int, len(missing))
	for _, i := range missing {
		queue <- i
	}
	close(queue)
	var first error
	var once sync.Once
	var workers sync.WaitGroup
	for range min(cap(d.c.connections), len(missing)) {
		workers.Go(func() {
			buf := make([]byte, 128<<10)
			for i := range queue {
				err := d.c.retry(ctx, func() (int64, error) { return d.attempt(ctx, i, buf) })
				if err != nil {
					once.Do(func() { first = err })
					cancel(err)
					return
				}
			}
		})
	}
	workers.Wait()
	return first
}

// errWhole reports a server that answers a request for a part with the whole.
var errWhole = errors.New("hub: the server does not send parts of files")

// attempt sends one request for what is missing of a segment. It returns by how
// much the segment got further than ever before.
func (d *download) attempt(ctx context.Context, i int, buf []byte) (int64, error) {
	select {
	case d.c.connections <- struct{}{}:
		defer func() { <-d.c.connections }()
	case <-ctx.Done():
		return 0, context.Cause(ctx)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(d.c.tune.stall, func() { cancel(errStalled) })
	defer watchdog.Stop()

	d.mu.Lock()
	g := d.state.Segments[i]
	single := len(d.state.Segments) == 1
	d.mu.Unlock()
	if g.end < 0 || d.file.whole {
		g = d.rewind(i) // such a server begins at the beginning
	}
	header := http.Header{}
	ranged := !single || g.done > 0
	if ranged {
		header.Set("Range", fmt.Sprintf("bytes=%d-%d", g.start+g.done, g.end-1))
		if strings.HasPrefix(d.file.etag, `"`) {
			header.Set("If-Range", d.file.etag)
		}
	}
	resp, err := d.c.get(ctx, d.file.url, header)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if err := d.check(resp, g, ranged); err != nil {
		if !errors.Is(err, errWhole) || !single {
			return 0, err
		}
		g = d.rewind(i)
	}
	err = d.receive(ctx, i, g, resp, buf, watchdog)
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.state.Segments[i].done - d.high[i]
	d.high[i] = max(d.high[i], d.state.Segments[i].done)
	return n, err
}

// rewind forgets what is there of a segment.
func (d *download) rewind(i int) segment {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.meter.add(-d.state.Segments[i].done)
	d.state.Segments[i].done = 0
	return d.state.Segments[i]
}

// check compares an answer's header with what is known and what was asked for.
func (d *download) check(resp *response, g segment, ranged bool) error {
	f := d.file
	switch {
	case f.sha256 != "" && sha256Pattern.MatchString(resp.linkedETag) && resp.linkedETag != f.sha256:
		return fmt.Errorf("%w: %s is now the file with the checksum %s, not %s", ErrChanged, show(f.url), resp.linkedETag, f.sha256)
	case f.sha256 == "" && f.blob == "" && f.etag != "" && validator(resp.Header) != f.etag:
		return fmt.Errorf("%w: %s is now version %s, not %s", ErrChanged, show(f.url), clean(validator(resp.Header)), clean(f.etag))
	case f.size >= 0 && resp.linkedSize >= 0 && resp.linkedSize != f.size:
		return fmt.Errorf("%w: %s is listed with %d bytes, the server announces %d", ErrSize, f.path, f.size, resp.linkedSize)
	}
	switch {
	case resp.StatusCode == http.StatusPartialContent && ranged:
		first, last, total, err := contentRange(resp.Header)
		switch {
		case err != nil:
			return &netError{show(f.url), err}
		case total >= 0 && total != f.size:
			return fmt.Errorf("%w: %s is listed with %d bytes, the server announces %d", ErrSize, f.path, f.size, total)
		case first != g.start+g.done || last >= g.end:
			return &netError{show(f.url), fmt.Errorf("the bytes %d to %d were asked for, %d to %d are announced", g.start+g.done, g.end-1, first, last)}
		case resp.ContentLength >= 0 && resp.ContentLength != last-first+1:
			return &netError{show(f.url), fmt.Errorf("the bytes %d to %d are announced with a length of %d", first, last, resp.ContentLength)}
		}
		return nil
	case resp.StatusCode == http.StatusOK:
		if f.size >= 0 && resp.ContentLength >= 0 && resp.ContentLength != f.size {
			return fmt.Errorf("%w: %s is listed with %d bytes, the server announces %d", ErrSize, f.path, f.size, resp.ContentLength)
		}
		if ranged {
			return errWhole
		}
		return nil
	}
	return fmt.Errorf("%w: %s answers %s", ErrServer, show(f.url), clean(resp.Status))
}

// receive writes the body of an answer to the part file.
func (d *download) receive(ctx context.Context, i int, g segment, resp *response, buf []byte, watchdog *time.Timer) error {
	pos := g.start + g.done
	for g.end < 0 || pos < g.end {
		room := int64(len(buf))
		if g.end >= 0 {
			room = min(room, g.end-pos)
		}
		n, err := resp.Body.Read(buf[:room])
		watchdog.Reset(d.c.tune.stall)
		if n > 0 {
			if _, err := d.part.WriteAt(buf[:n], pos); err != nil {
				return writeError(d.path, err)
			}
			pos += int64(n)
			d.mu.Lock()
			d.state.Segments[i].done += int64(n)
			d.mu.Unlock()
			d.meter.arrived(int64(n))
		}
		if err == nil {
			continue
		}
		if err == io.EOF && g.end < 0 {
			return d.learnSize(i, pos)
		}
		if err == io.EOF && pos < g.end {
			err = io.ErrUnexpectedEOF
		}
		if err != io.EOF {
			return d.c.requestError(ctx, d.file.url, err)
		}
	}
	// A body of unannounced length may go on.
	if resp.ContentLength < 0 {
		if n, _ := io.ReadFull(resp.Body, buf[:1]); n > 0 {
			return fmt.Errorf("%w: %s sends more than the %d bytes that were announced", ErrSize, show(d.file.url), g.end-g.start)
		}
	}
	return nil
}

// learnSize notes the size of a file that came without an announcement.
func (d *download) learnSize(i int, size int64) error {
	d.mu.Lock()
	d.state.Segments[i].end = size
	d.mu.Unlock()
	if err := d.part.Truncate(size); err != nil {
		return writeError(d.path, err)
	}
	return nil
}
