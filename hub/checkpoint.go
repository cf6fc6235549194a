package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// fetchAll downloads the files of a checkpoint or a split model: the small ones
// at the same time, the large ones one after the other, each over all
// connections.
func (p *puller) fetchAll(ctx context.Context, s *selection) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var small sync.WaitGroup
	var first error
	var once sync.Once
	limit := make(chan struct{}, cap(p.c.connections))
	for i := range s.files() {
		f := &s.files()[i]
		if p.large(f) {
			continue
		}
		small.Go(func() {
			limit <- struct{}{}
			defer func() { <-limit }()
			if _, err := p.c.fetch(ctx, f, p.target(s, f), p.meter); err != nil {
				once.Do(func() { first = err })
				cancel(err)
			}
		})
	}
	small.Wait()
	if first != nil {
		return first
	}
	if err := p.dropUnused(s); err != nil {
		return err
	}
	for i := range s.files() {
		f := &s.files()[i]
		if !p.large(f) {
			continue
		}
		if _, err := p.c.fetch(ctx, f, p.target(s, f), p.meter); err != nil {
			return err
		}
	}
	return nil
}

func (p *puller) large(f *remoteFile) bool {
	return f.size > p.c.tune.segment || strings.HasSuffix(f.path, ".safetensors") || strings.HasSuffix(f.path, modelSuffix)
}

// dropUnused takes the safetensors files that the index of a checkpoint does not
// name out of the selection, and checks that all it names are there.
func (p *puller) dropUnused(s *selection) error {
	shards, err := readIndex(filepath.Join(p.place.folder, indexFile))
	if err != nil || shards == nil {
		return err
	}
	var kept []remoteFile
	var total int64
	for _, f := range s.checkpoint {
		if strings.HasSuffix(f.path, ".safetensors") && !shards[f.path] {
			if err := removeAll(p.target(s, &f)); err != nil {
				return err
			}
			continue
		}
		delete(shards, f.path)
		kept = append(kept, f)
		total += max(f.size, 0)
	}
	for missing := range shards {
		return fmt.Errorf("%w: the index of the repository %s names the file %q, which is not there", ErrRemote, p.ref.Repository, clean(missing))
	}
	s.checkpoint = kept
	p.meter.expect(total)
	return nil
}

// readIndex returns the shards that an index names, or nil if there is no index.
func readIndex(file string) (map[string]bool, error) {
	f, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	defer f.Close()
	var index struct {
		Weights map[string]string `json:"weight_map"`
	}
	if err := json.NewDecoder(io.LimitReader(f, maxAnswer)).Decode(&index); err != nil || len(index.Weights) == 0 {
		return nil, fmt.Errorf("%w: the file %s of the repository is not an index of safetensors files", ErrRemote, indexFile)
	}
	shards := map[string]bool{}
	for _, shard := range index.Weights {
		shards[shard] = true
	}
	return shards, nil
}
