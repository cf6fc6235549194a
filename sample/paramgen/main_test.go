package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"trit/sample"
)

// TestGeneratedFiles: what is generated from the table of parameters is up to date.
func TestGeneratedFiles(t *testing.T) {
	for name, make := range files {
		have, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
		if err != nil {
			t.Fatal(err)
		}
		have = bytes.ReplaceAll(have, []byte("\r\n"), []byte("\n"))
		want, err := make(have)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if !bytes.Equal(have, want) {
			t.Errorf("%s does not agree with sample.Params; run go generate ./sample", name)
		}
	}
}

// TestSamplersOfGeneration: the guide to samplers has each parameter's flag and field
// in one row, and no flag that there is not.
func TestSamplersOfGeneration(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "generation.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(strings.ReplaceAll(string(page), "\r\n", "\n"), "\n## Samplers\n")
	section, _, ok := strings.Cut(section, "\nBefore the stages come")
	if !ok {
		t.Fatal("the section about samplers has changed")
	}
	rows := strings.Split(section, "\n")
	for _, p := range sample.Params() {
		field, _, _ := strings.Cut(fieldOf(&p), ".") // DRY stands for all of its own
		found := false
		for _, row := range rows {
			found = found || strings.Contains(row, "`--"+p.Flag+"`") && strings.Contains(row, "`"+field+"`")
		}
		if !found {
			t.Errorf("no row has both the flag `--%s` and the field `%s`", p.Flag, field)
		}
	}
	for _, m := range regexp.MustCompile("`--([a-z-]+)`").FindAllStringSubmatch(section, -1) {
		switch m[1] {
		case "greedy", "dry-sequence-breaker": // no numbers
			continue
		}
		if _, ok := sample.LookupParam(m[1]); !ok {
			t.Errorf("--%s is no parameter", m[1])
		}
	}
}
