package engine_test

import (
	"testing"

	"trit/internal/engine"
)

// TestSalt: sessions find prompts of the same salt only, forks keep theirs, and what has a salt is not
// saved.
func TestSalt(t *testing.T) {
	s := newScheduler(t, engine.Options{MaxRows: 64, Context: 400, CachePages: 200})
	text := longTokens(100)
	reused := func(salt string) int {
		c := session(t, s)
		defer c.Close()
		c.SetSalt(salt)
		if err := c.Run(t.Context(), text, engine.All, len(text)-1); err != nil {
			t.Fatal(err)
		}
		f, err := c.Fork()
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		return c.Reused()
	}
	for i, step := range []struct {
		salt string
		hit  bool
	}{{"alice", false}, {"bob", false}, {"", false}, {"alice", true}, {"bob", true}, {"", true}, {"carol", false}} {
		if n := reused(step.salt); (n > 0) != step.hit {
			t.Errorf("step %d: with the salt %q %d tokens come from the cache", i, step.salt, n)
		}
	}
	path := t.TempDir() + "/prefixes"
	saved, err := s.SavePrefixes(path)
	if err != nil {
		t.Fatal(err)
	}
	if stats, err := s.PrefixStats(); err != nil || saved != 3 || stats.Pages != 12 {
		t.Errorf("%d pages of %d were saved, want those without a salt: 3 of 12 (%v)", saved, stats.Pages, err)
	}
}
