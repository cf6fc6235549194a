package engine

import (
	"errors"
	"fmt"
	"hash/maphash"
	"os"

	"trit/internal/atomicfile"
	"trit/internal/kernel"
)

// Prompts that begin with the same tokens share their keys and values. The
// scheduler looks each prompt up in the cache's prefix index before it runs it,
// and puts every page that has been filled there. A prompt whose next page is
// just being computed for another client waits for it.

// PrefixStats describe what the prefix cache has been good for.
type PrefixStats struct {
	// Prompts were looked up, of which Hits found at least one page.
	Prompts int64 `json:"prompts"`
	Hits    int64 `json:"hits"`
	// Of PromptTokens tokens ReusedTokens did not have to be computed.
	PromptTokens int64 `json:"prompt_tokens"`
	ReusedTokens int64 `json:"reused_tokens"`
	// Pages of kernel.PageTokens tokens are in the cache now; Unreferenced of
	// them belong to no running sequence. Evicted had to give way so far.
	Pages        int   `json:"pages"`
	Unreferenced int   `json:"unreferenced_pages"`
	Evicted      int64 `json:"evicted_pages"`
}

// HitRate returns the fraction of prompt tokens that did not have to be
// computed.
func (s PrefixStats) HitRate() float64 {
	if s.PromptTokens == 0 {
		return 0
	}
	return float64(s.ReusedTokens) / float64(s.PromptTokens)
}

// PrefixStats returns the counts so far.
func (s *Scheduler) PrefixStats() (PrefixStats, error) {
	var stats PrefixStats
	err := s.do(func() {
		stats = s.prefix
		c := s.engine.pool.PrefixStats()
		stats.Pages, stats.Unreferenced, stats.Evicted = c.Pages, c.Unreferenced, c.Evicted
	})
	return stats, err
}

// ForgetPrefixes empties the prefix cache.
func (s *Scheduler) ForgetPrefixes() error {
	return s.do(func() { s.engine.pool.ForgetPrefixes() })
}

// SavePrefixes writes the prefix cache to a file and returns the number of
// pages. No client is served meanwhile. After an error the file is as it was.
func (s *Scheduler) SavePrefixes(path string) (pages int, err error) {
	id, err := s.engine.Identity()
	if err != nil {
		return 0, err
	}
	f, err := atomicfile.Create(path, 0o600) // it tells what was asked
	if err != nil {
		return 0, fmt.Errorf("saving prefixes: %w", err)
	}
	if e := s.do(func() { pages, err = s.engine.pool.SavePrefixes(f, id) }); e != nil {
		err = e
	}
	if err != nil {
		return 0, errors.Join(err, f.Abort())
	}
	if err := f.Commit(); err != nil {
		return 0, fmt.Errorf("saving prefixes: %w", err)
	}
	return pages, nil
}

// LoadPrefixes reads a file that SavePrefixes has written into the prefix cache
// and returns the number of pages. It is an error, cache.ErrPrefixFile, if other
// weights, another KV type or another version of the arithmetic made it. After
// an error the cache is as it was.
func (s *Scheduler) LoadPrefixes(path string) (pages int, err error) {
	f, err := os.Open(path)
	if err != nil {
		return 0, fmt.Errorf("loading prefixes: %w", err)
	}
	defer f.Close()
	id, err := s.engine.Identity()
	if err != nil {
		return 0, err
	}
	if e := s.do(func() { pages, err = s.engine.pool.LoadPrefixes(f, id) }); e != nil {
		err = e
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return pages, nil
}

// index makes the full pages of a session known, if there are more than before.
func (c *Session) index() {
	if c.seq.table == nil || c.private.Load() {
		return
	}
	if full := c.seq.table.Len() / kernel.PageTokens; full > c.indexed {
		c.seq.table.Index(c.seq.tokens)
		c.indexed = full
	}
}

// pageHash is what the hash of a sequence is computed from at the end of a page.
type pageHash struct {
	before uint64
	tokens [kernel.PageTokens]int32
}

// look prepares a request that has just come in for the prefix cache: whatever
// its session holds now will stay, and of a prompt each page gets a hash.
func (s *Scheduler) look(r *request) {
	c := r.Session
	c.index()
	if s.engine.pool.Config().PrefixPages == 0 || c.private.Load() || r.Guesses > 0 || r.observer != nil || len(r.Tokens) < 2 {
		return
	}
	s.hash(r)
	if r.reusable() > 0 {
		s.prefix.Prompts++
		s.prefix.PromptTokens += int64(len(r.Tokens))
	}
}

// hash gives each page of a request's sequence a hash.
func (s *Scheduler) hash(r *request) {
	r.chain = r.chain[:0]
	if s.engine.pool.Config().PrefixPages == 0 || r.Session.private.Load() {
		return
	}
	tokens := r.Session.seq.with(r.Tokens)
	h := pageHash{before: r.Session.seq.table.Root()}
	for i := 0; i+kernel.PageTokens <= len(tokens); i += kernel.PageTokens {
		h.tokens = [kernel.PageTokens]int32(tokens[i:])
		h.before = maphash.Comparable(s.seed, h)
		r.chain = append(r.chain, h.before)
	}
}

// reusable returns how many tokens of a request need not be run if the cache
// has them.
func (r *request) reusable() int {
	switch {
	case r.Guesses > 0 || r.observer != nil:
		return r.lost
	case r.Want == None:
		return len(r.Tokens)
	}
	return min(r.From, len(r.Tokens)-1)
}

// adopt takes what a request needs from the prefix cache.
func (s *Scheduler) adopt(r *request) {
	seq := r.Session.seq
	limit := r.start + r.reusable()
	if len(r.chain) == 0 || seq.Len() >= limit {
		return
	}
	n := seq.adopt(r.Tokens[r.next:], limit)
	if n == 0 {
		return
	}
	before := max(r.next-r.lost, 0)
	r.next += n
	if n = max(r.next-r.lost, 0) - before; n == 0 {
		return // what was lost is no prompt
	}
	if r.reused == 0 {
		s.prefix.Hits++
	}
	r.reused += n
	s.prefix.ReusedTokens += int64(n)
}
