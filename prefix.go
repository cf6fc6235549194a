package trit

import (
	"trit/internal/engine"
)

// PrefixStats describe what the prefix cache has been good for.
type PrefixStats = engine.PrefixStats

// PrefixStats returns the counts of the prefix cache so far.
func (m *Model) PrefixStats() (PrefixStats, error) { return m.scheduler.PrefixStats() }

// SavePrompts writes what the prefix cache holds to a file, for LoadPrompts of
// a later run. After an error the file is as it was before.
func (m *Model) SavePrompts(path string) error {
	_, err := m.scheduler.SavePrefixes(path)
	return err
}

// LoadPrompts fills the prefix cache from a file that SavePrompts has written.
// The error is [ErrPrefixFile] when the file was written for other weights,
// another type of KV cache or by a version that computes differently, and an
// fs.ErrNotExist when there is none.
func (m *Model) LoadPrompts(path string) error {
	_, err := m.scheduler.LoadPrefixes(path)
	return err
}

// CacheSalt keeps a prompt apart, in the prefix cache, from prompts with another salt, so that neither
// Stats.CachedTokens nor the time tells one user what another has asked.
func CacheSalt(salt string) GenerateOption { return func(o *generateOptions) { o.Options.Salt = salt } }
