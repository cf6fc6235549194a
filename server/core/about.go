package core

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"trit"
	"trit/chat"
	"trit/hub"
	"trit/internal/model"
	"trit/sample"
)

// About is what clients may learn of a model without loading it.
type About struct {
	*hub.Details
	// Context is the longest text that the model takes here, in tokens; Details.Context
	// is what its file says.
	Context int
	// Memory is what the model takes at the least where it runs, in bytes; 0 for a file that
	// cannot be run.
	Memory int64
	// Embeds says that the model is made for embeddings.
	Embeds bool
	// Thinks says that its template knows thinking.
	Thinks bool
	// Recommended are the sampling options that the file recommends, a line each.
	Recommended string
	// Digest tells the file from others, Modified is when it came to be where it is. The
	// embedded model came with the program.
	Digest   string
	Modified time.Time
}

// Capabilities returns what the model is made for, in the words that Ollama and llama-server
// have for it. Clients take "embedding" for a model that does nothing else, as Ollama's own
// does: it would print a vector for an answer. That every model embeds too they need not know.
func (a *About) Capabilities() []string {
	if a.Embeds {
		return []string{"embedding"}
	}
	able := []string{"completion", "tools"}
	if a.Thinks {
		able = append(able, "thinking")
	}
	return able
}

// aboutCache keeps what has been read from files, until they change.
type aboutCache struct {
	mu    sync.Mutex
	known map[string]*About // by digest of the file's place, size and time
}

// maxAbout bounds the cache; there are seldom more models.
const maxAbout = 256

// About returns what clients may learn of a model.
func (s *Server) About(m *hub.Model) (*About, error) {
	identity, modified := "embedded", s.Started.UTC()
	if m.Path != "" {
		stat, err := os.Stat(m.Path)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", hub.ErrNotFound, err)
		}
		modified = stat.ModTime().UTC()
		identity = fmt.Sprintf("%s %d %d", m.Path, stat.Size(), modified.UnixNano())
	}
	if d := m.Derived; d != nil {
		identity, modified = identity+" "+d.Digest(), d.Time
	}
	sum := sha256.Sum256([]byte(m.Name + " " + identity))
	key := hex.EncodeToString(sum[:])
	c := &s.about
	c.mu.Lock()
	about := c.known[key]
	c.mu.Unlock()
	if about != nil {
		return about, nil
	}
	about = &About{Digest: key, Modified: modified}
	if err := about.read(m, s.Options.Open); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxAbout {
		c.known = map[string]*About{}
	}
	c.known[key] = about
	return about, nil
}

// read reads the model's file.
func (a *About) read(m *hub.Model, open []trit.Option) error {
	var err error
	if a.Details, err = hub.Describe(m); err != nil {
		return err
	}
	if a.Origin != nil && a.Origin.SHA256 != "" && m.Derived == nil {
		a.Digest = a.Origin.SHA256
	}
	f, err := m.Open()
	if err != nil {
		return err
	}
	defer f.Close()
	var b strings.Builder
	for _, p := range sample.Params() {
		_, own := m.Derived.Number(p.Name)
		if v, ok := f.Metadata.Get(p.Key()); ok && p.Recommended && !own {
			fmt.Fprintf(&b, "%s %v\n", p.Name, v.Any())
		}
	}
	if m.Derived != nil {
		b.WriteString(m.Derived.ParameterLines())
	}
	a.Recommended = b.String()
	_, a.Embeds = f.Metadata.Get(a.Architecture + "." + model.KeyPooling)
	if t, err := chat.Parse(a.ChatTemplate); err == nil { // one that does not parse is for loading to report
		a.Thinks = t.CanThink()
	}
	// So is a file that cannot be run, of which the context is what it says.
	a.Context = int(a.Details.Context)
	source := m.Path
	if source == "" {
		source = m.Name
	}
	if plan, err := trit.Plan(source, open...); err == nil {
		a.Context, a.Memory = plan.Context, plan.Least()
	}
	return nil
}
