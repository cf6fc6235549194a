// Package tokenizers compares package tokenizer with Hugging Face's tokenizers.
package tokenizers

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"trit/gguf"
	"trit/tokenizer"
)

// TestIDs encodes the texts of a folder that make.py has made.
func TestIDs(t *testing.T) {
	dir := os.Getenv("TRIT_TOKENIZERS")
	if dir == "" {
		t.Skip("TRIT_TOKENIZERS is not set: it names a folder that make.py has made")
	}
	folders, err := filepath.Glob(filepath.Join(dir, "*", "tokenizer.json"))
	if err != nil || len(folders) == 0 {
		t.Fatalf("%s has no tokenizers, %v", dir, err)
	}
	for _, path := range folders {
		name := filepath.Base(filepath.Dir(path))
		t.Run(name, func(t *testing.T) { compare(t, name, filepath.Dir(path)) })
	}
}

func compare(t *testing.T, name, dir string) {
	data, err := os.ReadFile(filepath.Join(dir, "ids.json"))
	if err != nil {
		t.Fatal(err)
	}
	var want struct {
		Texts []string  `json:"texts"`
		IDs   [][]int32 `json:"ids"`
	}
	if err := json.Unmarshal(data, &want); err != nil {
		t.Fatal(err)
	}
	fromJSON, err := tokenizer.FromHF(dir)
	if err != nil {
		t.Fatal(err)
	}
	if fromJSON.Model() == tokenizer.ModelBPE && fromJSON.Pre() != name {
		t.Errorf("the pre-tokenizer is read as %s", fromJSON.Pre())
	}
	// What a GGUF file keeps is enough for the same ids.
	var m gguf.Metadata
	if err := fromJSON.AppendMetadata(&m, 0); err != nil {
		t.Fatal(err)
	}
	fromGGUF, err := tokenizer.FromGGUF(&m)
	if err != nil {
		t.Fatal(err)
	}
	wrong := 0
	for i, text := range want.Texts {
		for _, tok := range []*tokenizer.Tokenizer{fromJSON, fromGGUF} {
			got := tok.Encode(text, tokenizer.AddSpecial(false))
			if !slices.Equal(got, want.IDs[i]) && !(len(got) == 0 && len(want.IDs[i]) == 0) {
				if wrong++; wrong < 10 {
					t.Errorf("%q: %v, want %v", text, got, want.IDs[i])
				}
			}
		}
	}
	t.Logf("%d texts, %d tokens in the vocabulary, %d wrong", len(want.Texts), fromJSON.Len(), wrong)
}
