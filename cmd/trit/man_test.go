package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

// TestManualPages: each command has a page, which names all its flags and loses nothing that stands in brackets.
func TestManualPages(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "man1")
	runTrit(t, "man", folder).expect(t, exitOK)
	root := (&app{}).rootCommand()
	for _, cmd := range append(documented(root), root) {
		data, err := os.ReadFile(filepath.Join(folder, manName(cmd)+".1"))
		if err != nil {
			t.Fatal(err)
		}
		page := string(data)
		for _, section := range []string{".TH ", ".SH NAME\n", ".SH SYNOPSIS\n", ".SH DESCRIPTION\n", ".SH OPTIONS\n", ".SH EXAMPLES\n", ".SH EXIT STATUS\n"} {
			if !strings.Contains(page, section) {
				t.Errorf("%s has no %s", manName(cmd), section)
			}
		}
		for _, g := range flagGroups(cmd) {
			for _, name := range visible(g.flags) {
				if !strings.Contains(page, `\fB\-\-`+roff(name)+`\fR`) {
					t.Errorf("%s says nothing of --%s", manName(cmd), name)
				}
			}
		}
		if i := strings.IndexFunc(page, func(r rune) bool { return r > 0x7f }); i >= 0 {
			t.Errorf("%s has what troff does not read as it is: %.20q", manName(cmd), page[i:])
		}
		for line := range strings.Lines(page) {
			if strings.HasPrefix(line, "'") {
				t.Errorf("%s: the line %q is a request", manName(cmd), line)
			}
		}
	}
	models, err := os.ReadFile(filepath.Join(folder, "trit-models.1"))
	if err != nil || !strings.Contains(string(models), "BITNET_MODEL_<NAME>") {
		t.Errorf("%v; the page of models does not say BITNET_MODEL_<NAME>", err)
	}
	runTrit(t, "man").expect(t, exitUsage, "folder")
	runTrit(t, "help", "exit-codes").expect(t, exitOK, "130")
	runTrit(t, "help", "environment").expect(t, exitOK, "TRIT_HOME")
}

func visible(flags *pflag.FlagSet) (names []string) {
	flags.VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	return names
}
