package safetensors

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"unicode/utf8"

	"trit/internal/textfile"
)

// maxIndex bounds the size of an index file in bytes, as maxHeader does for the
// header of a file that lists the same tensors.
const maxIndex = maxHeader

// openIndex opens all files of a sharded checkpoint.
func (c *Checkpoint) openIndex(path string) error {
	content, err := readLimited(path, maxIndex)
	if err != nil {
		return err
	}
	weightMap, err := parseIndex(textfile.Trim(content))
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	dir := filepath.Dir(path)
	for _, name := range shards(weightMap) {
		shard := filepath.Join(dir, name)
		err := c.openFile(shard, weightMap)
		if errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("%w: %s names the file %s, which is missing (download it, or the index belongs to another checkpoint): %w", ErrIndex, path, name, err)
		}
		if err != nil {
			return err
		}
	}
	names := make([]string, 0, len(weightMap))
	for name := range weightMap {
		names = append(names, name)
	}
	sort.Strings(names) // so that the error is the same every time
	for _, name := range names {
		if _, ok := c.byName[name]; !ok {
			return fmt.Errorf("%w: %s says that tensor %q is in %s, which does not hold it", ErrIndex, path, name, weightMap[name])
		}
	}
	return nil
}

// parseIndex returns the weight_map: tensor name → file name in the same folder.
func parseIndex(content []byte) (map[string]string, error) {
	if !utf8.Valid(content) {
		return nil, fmt.Errorf("%w: not UTF-8", ErrIndex)
	}
	p, err := newHeaderParser(content)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIndex, err)
	}
	var weightMap map[string]string
	err = p.object(func(key string) error {
		if key != "weight_map" {
			var skipped json.RawMessage
			return p.json.Decode(&skipped)
		}
		if weightMap != nil {
			return errors.New("weight_map appears twice")
		}
		weightMap = map[string]string{}
		return p.object(func(name string) error {
			if _, ok := weightMap[name]; ok {
				return fmt.Errorf("tensor %q appears twice", name)
			}
			file, err := p.text(fmt.Sprintf("file of tensor %q", name))
			if err != nil {
				return err
			}
			if !plainName(file) {
				return fmt.Errorf("tensor %q is said to be in %q, which is not the name of a file in the same folder", name, file)
			}
			weightMap[name] = file
			return nil
		})
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrIndex, err)
	}
	if len(weightMap) == 0 {
		return nil, fmt.Errorf("%w: no weight_map, or an empty one", ErrIndex)
	}
	return weightMap, nil
}

// plainName reports whether name is a file name without any path, on every
// system: an index must not reach outside its folder.
func plainName(name string) bool {
	for _, r := range name {
		if r == '/' || r == '\\' || r == ':' || r == 0 {
			return false
		}
	}
	return name != "" && name != "." && filepath.IsLocal(name)
}

// shards returns the file names of a weight map, each once, sorted.
func shards(weightMap map[string]string) []string {
	names := make([]string, 0, len(weightMap))
	for _, file := range weightMap {
		names = append(names, file)
	}
	sort.Strings(names)
	return slices.Compact(names)
}

// readLimited reads a file of at most limit bytes.
func readLimited(path string, limit int64) (content []byte, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	content, err = io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("safetensors: %w", err)
	}
	if int64(len(content)) > limit {
		return nil, fmt.Errorf("%w: %s is larger than %d bytes", ErrIndex, path, limit)
	}
	return content, nil
}
