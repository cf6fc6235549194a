package model

import (
	"fmt"
	"slices"

	"trit/gguf"
)

// Pooling says how the final hidden states of a text's tokens become its vector.
type Pooling uint8

// The kinds of pooling: the mean of all states, that of the first token, that of the
// last one. Their numbers are those of files.
const (
	PoolMean Pooling = iota + 1
	PoolCLS
	PoolLast
)

var poolingNames = [...]string{PoolMean: "mean", PoolCLS: "cls", PoolLast: "last"}

// poolNone and poolRank are what a file may say beside these: that nothing is pooled,
// and that a head of the model scores pairs of texts.
const (
	poolNone = 0
	poolRank = 4
)

// String returns "mean", "cls" or "last".
func (p Pooling) String() string {
	if p > 0 && int(p) < len(poolingNames) {
		return poolingNames[p]
	}
	return fmt.Sprintf("pooling(%d)", uint8(p))
}

// ParsePooling reads "mean", "cls" or "last".
func ParsePooling(name string) (Pooling, error) {
	if p := slices.Index(poolingNames[:], name); p > 0 {
		return Pooling(p), nil
	}
	return 0, fmt.Errorf("%w: pooling %q, want mean, cls or last", ErrConfig, name)
}

// Embedding is what a file says about the vectors of texts. The zero value is that of
// models that were not made for them.
type Embedding struct {
	Pooling Pooling
	// QueryPrefix and DocumentPrefix are put in front of texts of these kinds; nil
	// where nothing is known.
	QueryPrefix, DocumentPrefix *string
}

// The keys of Embedding below the architecture's name. GGUF has none for prefixes.
const (
	KeyPooling        = "pooling_type"
	KeyQueryPrefix    = "embedding.query_prefix"
	KeyDocumentPrefix = "embedding.document_prefix"
)

// maxPrefix bounds a prefix of texts, in bytes.
const maxPrefix = 16 << 10

// ReadEmbedding reads the keys below the name of an architecture.
func ReadEmbedding(m *gguf.Metadata, arch string) (Embedding, error) {
	var e Embedding
	if key := arch + "." + KeyPooling; has(m, key) {
		n, err := m.Uint64(key)
		switch {
		case err != nil:
			return e, fmt.Errorf("%w: %w", ErrConfig, err)
		case n == poolRank:
			return e, fmt.Errorf("%w: %s is %d: the model scores pairs of texts with a head of its own, which Trit does not compute; "+
				"use an embedding model and compare the vectors", ErrConfig, key, n)
		case n != poolNone && n >= uint64(len(poolingNames)):
			return e, fmt.Errorf("%w: %s is %d, want 0 to %d", ErrConfig, key, n, len(poolingNames)-1)
		}
		e.Pooling = Pooling(n)
	}
	for _, p := range []struct {
		key string
		to  **string
	}{{KeyQueryPrefix, &e.QueryPrefix}, {KeyDocumentPrefix, &e.DocumentPrefix}} {
		key := arch + "." + p.key
		if !has(m, key) {
			continue
		}
		s, err := m.String(key)
		if err == nil && len(s) > maxPrefix {
			err = fmt.Errorf("%s has %d bytes, want at most %d", key, len(s), maxPrefix)
		}
		if err != nil {
			return e, fmt.Errorf("%w: %w", ErrConfig, err)
		}
		*p.to = &s
	}
	return e, nil
}

// bitnetPrefixes completes what the files of BitNet embeddings leave out: they are the
// models with a pooling and with norms in their projections, and their documentation
// has queries begin with "query: " and documents with nothing.
func (m *Model) bitnetPrefixes() {
	normed := false
	m.Projections(func(_ string, p *Projection) { normed = normed || p.NormIn != nil })
	e := &m.Embedding
	if e.Pooling == 0 || !normed || e.QueryPrefix != nil || e.DocumentPrefix != nil {
		return
	}
	query, document := "query: ", ""
	e.QueryPrefix, e.DocumentPrefix = &query, &document
}
