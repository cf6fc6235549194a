package hub

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestCancel cancels at random points, and goes on.
func TestCancel(t *testing.T) {
	model := fakeModel(t, 2_000_000, 1)
	h := newFakeHub(t, map[string][]byte{"model.gguf": model})
	var sent atomic.Int64
	h.answerCDN(func(w http.ResponseWriter, r *http.Request, content []byte) bool {
		return slowly(&watchedWriter{w, func(n int) { sent.Add(int64(n)) }}, r, content)
	})
	r := rand.New(rand.NewPCG(3, 4))
	cancelled, resumed := 0, 0
	for {
		ctx, cancel := context.WithCancel(t.Context())
		limit := int64(r.IntN(200_000))
		var from int64 = -1
		_, err := pull(ctx, "hf:org/repo", PullOptions{Name: "m", Progress: func(p Progress) {
			if from < 0 {
				from = p.Done
			}
			if p.Done-from >= limit {
				cancel()
			}
		}}, fastTuning())
		cancel()
		if err == nil {
			break
		}
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		cancelled++
		expectNoModel(t)
		if cancelled > 500 {
			t.Fatal("the download does not get further")
		}
		if s, err := loadState(&remoteFile{size: int64(len(model)), sha256: sha256Hex(model)}, storePath(t, ".partial/m~download.gguf")); err == nil && s != nil && s.done() > 0 {
			resumed++
		}
	}
	expectStored(t, "m", model)
	if cancelled < 5 || resumed < 5 {
		t.Errorf("cancelled %d times, resumable %d times", cancelled, resumed)
	}
	// A cancellation may lose what was under way.
	if n := sent.Load(); n > int64(len(model))*3/2+int64(cancelled)*256<<10 {
		t.Errorf("%d bytes were sent for a file of %d: what was there was fetched again", n, len(model))
	} else {
		t.Logf("%d cancellations, %d bytes sent for a file of %d", cancelled, n, len(model))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := pull(ctx, "hf:org/repo", PullOptions{Name: "n"}, fastTuning()); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled beforehand: %v", err)
	}
}

// slowly sends about 16 MB a second on each connection.
func slowly(w http.ResponseWriter, r *http.Request, content []byte) bool {
	serveRange(w, r, content, func(w io.Writer, part []byte) {
		for len(part) > 0 && r.Context().Err() == nil {
			n := min(len(part), 8<<10)
			if _, err := w.Write(part[:n]); err != nil {
				return
			}
			w.(http.Flusher).Flush()
			part = part[n:]
			time.Sleep(500 * time.Microsecond)
		}
	})
	return true
}

// TestKilled kills another process that downloads, twenty times at random
// points, and then lets it finish.
func TestKilled(t *testing.T) {
	model := fakeModel(t, 8_000_000, 1)
	h := newFakeHub(t, map[string][]byte{"model.gguf": model})
	var sent atomic.Int64
	kill := make(chan struct{}, 1)
	var limit atomic.Int64
	h.answerCDN(func(w http.ResponseWriter, r *http.Request, content []byte) bool {
		return slowly(&watchedWriter{w, func(n int) {
			if sent.Add(int64(n)) >= limit.Load() {
				select {
				case kill <- struct{}{}:
				default:
				}
			}
		}}, r, content)
	})
	r := rand.New(rand.NewPCG(5, 6))
	for round := range 20 {
		limit.Store(sent.Load() + int64(r.IntN(600_000)))
		select {
		case <-kill:
		default:
		}
		var out bytes.Buffer
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "TRIT_HUB_TEST_PULL=hf:org/repo", "GOMAXPROCS=2")
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-kill:
			cmd.Process.Kill()
			<-ended
		case err := <-ended:
			t.Fatalf("round %d: the process ended by itself: %v %s", round, err, out.String())
		}
		expectNoModel(t)
	}
	limit.Store(1 << 60)
	left := leftovers(t)
	if !slices.Contains(left, "m~download.gguf.part") || !slices.Contains(left, "m~download.gguf.part.json") || !slices.Contains(left, "m~lock") {
		t.Errorf("after the kills there is %v", left)
	}
	t.Logf("after twenty kills %d bytes of %d were sent", sent.Load(), len(model))
	p, err := pullNow(t, PullOptions{}) // also: the lock of a killed process holds nobody up
	if err != nil {
		t.Fatal(err)
	}
	expectStored(t, "m", model)
	if p.Transferred >= int64(len(model))*9/10 {
		t.Errorf("the last process fetched %d of %d bytes: nothing was resumed", p.Transferred, len(model))
	}
	if p.Manifest.Verified != VerifiedChecksum || p.Manifest.SHA256 != sha256Hex(model) {
		t.Errorf("manifest %+v", p.Manifest)
	}
}

type watchedWriter struct {
	http.ResponseWriter
	wrote func(int)
}

func (w *watchedWriter) Write(b []byte) (int, error) {
	n, err := w.ResponseWriter.Write(b)
	w.wrote(n)
	return n, err
}

func (w *watchedWriter) Flush() { w.ResponseWriter.(http.Flusher).Flush() }

// TestLocked: two processes, one name.
func TestLocked(t *testing.T) {
	model := fakeModel(t, 500_000, 1)
	h := newFakeHub(t, map[string][]byte{"model.gguf": model})
	started, proceed := make(chan struct{}), make(chan struct{})
	var once sync.Once
	h.answerCDN(func(w http.ResponseWriter, r *http.Request, content []byte) bool {
		once.Do(func() { close(started) })
		<-proceed
		return false
	})
	var out bytes.Buffer
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "TRIT_HUB_TEST_PULL=hf:org/repo")
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	<-started
	for name, f := range map[string]func() error{
		"pull":   func() error { _, err := pullNow(t, PullOptions{}); return err },
		"copy":   func() error { _, err := Copy(t.Context(), Demo, "m", true); return err },
		"remove": func() error { _, err := Remove("m"); return err },
	} {
		err := f()
		if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", cmd.Process.Pid)) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Copy(t.Context(), Demo, "other", false); err != nil {
		t.Errorf("another name: %v", err)
	}
	close(proceed)
	if err := cmd.Wait(); err != nil {
		t.Fatal(err, out.String())
	}
	expectStored(t, "m", model)
	// A lock file of nobody is no lock.
	if err := os.WriteFile(filepath.Join(storePath(t, ".partial"), "m~lock"), []byte(`{"pid":1}`), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := Remove("m"); err != nil {
		t.Error(err)
	}
}

// TestCutInstallation: the process ended between giving the model its name and
// giving the manifest its.
func TestCutInstallation(t *testing.T) {
	model := fakeModel(t, 1000, 1)
	h := newFakeHub(t, map[string][]byte{"model.gguf": model})
	if _, err := pullNow(t, PullOptions{}); err != nil {
		t.Fatal(err)
	}
	pending := storePath(t, ".partial/m~manifest.json")
	if err := os.Rename(storePath(t, "m.json"), pending); err != nil {
		t.Fatal(err)
	}
	before := h.count("/blob/")
	if p, err := pullNow(t, PullOptions{}); err != nil || !p.UpToDate || h.count("/blob/") != before {
		t.Errorf("after the cut: %+v %v", p, err)
	}
	// Before the model got its name: the manifest is of a model that is not there.
	newer := fakeModel(t, 1000, 2)
	h.mu.Lock()
	h.files["model.gguf"], h.commit = newer, strings.Repeat("d", 40)
	h.mu.Unlock()
	for _, file := range []string{pending, storePath(t, ".partial/m~download.gguf")} {
		if err := os.WriteFile(file, newer, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if p, err := pullNow(t, PullOptions{}); err != nil || p.UpToDate || p.Transferred != 0 {
		t.Errorf("before the name: %+v %v", p, err)
	}
	expectStored(t, "m", newer)
}
