package trit

import (
	"trit/internal/engine"
	"trit/internal/kernel"
)

// PrefixStats describe what the prefix cache has been good for.
type PrefixStats = engine.PrefixStats

// PrefixCache sets how many tokens of prompts and answers are kept, when nobody
// uses them any more, for texts that begin in the same way; 0 means half of the
// KV cache, a negative number none. Texts that are being generated share what
// they have in common besides that.
func PrefixCache(tokens int) Option {
	return func(o *openOptions) {
		switch {
		case tokens < 0:
			o.engine.PrefixPages = -1
		case tokens == 0:
			o.engine.PrefixPages = 0
		default:
			o.engine.PrefixPages = (tokens-1)/kernel.PageTokens + 1
		}
	}
}

// PrefixStats returns the counts of the prefix cache so far.
func (m *Model) PrefixStats() (PrefixStats, error) { return m.scheduler.PrefixStats() }

// SavePrompts writes what the prefix cache holds to a file, for LoadPrompts of
// a later run. After an error the file is as it was before.
func (m *Model) SavePrompts(path string) error {
	_, err := m.scheduler.SavePrefixes(path)
	return err
}

// LoadPrompts fills the prefix cache from a file that SavePrompts has written.
// The error is cache.ErrPrefixFile when the file was written for other weights,
// another type of KV cache or by a version that computes differently, and an
// fs.ErrNotExist when there is none.
func (m *Model) LoadPrompts(path string) error {
	_, err := m.scheduler.LoadPrefixes(path)
	return err
}
