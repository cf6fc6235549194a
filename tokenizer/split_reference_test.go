package tokenizer

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"
)

// TestSplitReference compares the pieces of a corpus with those of Hugging Face's
// tokenizers, which e2e/tokenizers/make.py has written down.
func TestSplitReference(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("testdata", "splits.json"))
	if err != nil {
		t.Fatal(err)
	}
	var reference struct {
		Texts  []string           `json:"texts"`
		Pieces map[string][][]int `json:"pieces"` // lengths in characters
	}
	if err := json.Unmarshal(data, &reference); err != nil {
		t.Fatal(err)
	}
	if len(reference.Texts) < 150 || len(reference.Pieces) < 8 {
		t.Fatalf("%d texts, %d kinds", len(reference.Texts), len(reference.Pieces))
	}
	for name, lists := range reference.Pieces {
		for i, text := range reference.Texts {
			var got []string
			split(preTokenizers[name].split, text, func(piece string) { got = append(got, piece) })
			same := len(got) == len(lists[i])
			for k := 0; same && k < len(got); k++ {
				same = utf8.RuneCountInString(got[k]) == lists[i][k]
			}
			if !same {
				t.Errorf("%s: %q is split into %q, want pieces of %v characters", name, text, got, lists[i])
			}
		}
	}
}
