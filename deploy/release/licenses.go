package main

import (
	"bytes"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// licensesFile, in the root of the checkout and in everything that a release consists of, has the licences of what is
// not Trit's own: most ask to be passed on. The pages of the server, the templates and the demo model are Trit's own.
const licensesFile = "THIRD_PARTY.txt"

// licenseName matches the files that say under which licence a module stands.
var licenseName = regexp.MustCompile(`(?i)^(licen[cs]e|copying|copyright|notice|patents|authors)([-.].+)?$`)

// licenses is what licensesFile should hold: the texts of Go, of all modules that the program contains on any of the
// systems, and of the certificates in the image.
func (r *release) licenses(ctx context.Context) ([]byte, error) {
	root, err := r.output(ctx, "go", "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	modules, err := r.linked(ctx)
	if err != nil {
		return nil, err
	}
	roots, err := r.output(ctx, "go", "-C", "deploy/release", "list", "-m", "-f", "{{.Path}} {{.Version}}\t{{.Dir}}",
		"golang.org/x/crypto/x509roots/fallback")
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.WriteString("The programs of Trit contain the following software. This file is made by .ci/release -licenses.\n")
	if err := addLicenses(&b, "The Go programming language and its library", root); err != nil {
		return nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		if err := addLicenses(&b, name, modules[name]); err != nil {
			return nil, err
		}
	}
	name, folder, _ := strings.Cut(roots, "\t")
	if err := addLicenses(&b, name+", in images only", folder); err != nil {
		return nil, err
	}
	b.WriteString("\nThe certificates themselves are those of Mozilla's list certdata.txt, which stands under the Mozilla Public\n" +
		"License 2.0, https://www.mozilla.org/MPL/2.0/. The list is at https://hg.mozilla.org/projects/nss.\n")
	return b.Bytes(), nil
}

// linked returns the folders of all modules of others that the program contains on any system, by "path version".
func (r *release) linked(ctx context.Context) (map[string]string, error) {
	folders := map[string]string{}
	targets, err := selectTargets("all") // the file is the same for all releases
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		cmd := exec.CommandContext(ctx, "go", "list", "-deps", tags, "-f",
			"{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}\t{{with .Replace}}{{.Dir}}{{else}}{{.Dir}}{{end}}{{end}}{{end}}", "./cmd/trit")
		cmd.Dir, cmd.Stderr, cmd.Env = r.root, os.Stderr, t.environ()
		out, err := cmd.Output()
		if err != nil {
			return nil, fmt.Errorf("the modules of %s: %w", t, err)
		}
		for line := range strings.Lines(string(out)) {
			if name, folder, ok := strings.Cut(strings.TrimSpace(line), "\t"); ok {
				folders[name] = folder
			}
		}
	}
	return folders, nil
}

// addLicenses adds the files of a folder that say its licence.
func addLicenses(b *bytes.Buffer, what, folder string) error {
	files, err := os.ReadDir(folder)
	if err != nil {
		return err
	}
	found := false
	for _, f := range files {
		if f.IsDir() || !licenseName.MatchString(f.Name()) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(folder, f.Name()))
		if err != nil {
			return err
		}
		text = bytes.ReplaceAll(bytes.TrimSpace(text), []byte("\r\n"), []byte("\n"))
		fmt.Fprintf(b, "\n%s\n%s, %s\n\n%s\n", strings.Repeat("=", 80), what, f.Name(), text)
		found = true
	}
	if !found {
		return fmt.Errorf("%s: no file in %s says its licence", what, folder)
	}
	return nil
}

// checkLicenses compares the file with what it should hold.
func (r *release) checkLicenses(ctx context.Context) error {
	want, err := r.licenses(ctx)
	if err != nil {
		return err
	}
	got, err := os.ReadFile(filepath.Join(r.root, licensesFile))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s is not what the modules say; write it anew with .ci/release -licenses", licensesFile)
	}
	return nil
}
