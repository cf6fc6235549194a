package tokenizer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Open reads the tokenizer in a file or folder: a folder of a Hugging Face
// checkpoint, a tokenizer.json (with the tokenizer_config.json beside it, if
// there is one), or a SentencePiece tokenizer.model.
func Open(path string, opts ...Option) (*Tokenizer, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: there is no file or folder %s", ErrFormat, path)
	}
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	if info.IsDir() {
		return FromHF(path, opts...)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("tokenizer: %w", err)
	}
	var t *Tokenizer
	if strings.EqualFold(filepath.Ext(path), ".json") {
		config, cerr := os.ReadFile(filepath.Join(filepath.Dir(path), "tokenizer_config.json"))
		if cerr != nil && !errors.Is(cerr, fs.ErrNotExist) {
			return nil, fmt.Errorf("tokenizer: %w", cerr)
		}
		t, err = FromJSON(data, config, opts...)
	} else {
		t, err = FromSentencePiece(data)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return t, nil
}
