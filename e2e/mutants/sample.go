package main

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// sample says which lines of a package are changed.
type sample struct {
	every int            // one in so many
	files *regexp.Regexp // the names of their files
}

// has returns whether a line of a file is in the sample. That depends on nothing else
// than the two, and not on how the line is indented: it stays what it is when other
// lines come and go.
func (s sample) has(file, line string) bool {
	if !s.files.MatchString(path.Base(file)) {
		return false
	}
	h := sha256.Sum256([]byte(file + "\n" + strings.TrimSpace(line)))
	return binary.BigEndian.Uint32(h[:])%uint32(s.every) == 0
}

// others returns the text of a file with other lines in place of those in the sample,
// and how many these are.
func (s sample) others(file, text string) (string, int) {
	n := 0
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		if strings.TrimSpace(line) != "" && s.has(file, line) {
			lines[i] = "changed: " + line
			n++
		}
	}
	return strings.Join(lines, "\n"), n
}

// gitEnv keeps the settings of who runs this away from git, also where gremlins runs it.
var gitEnv = []string{"GIT_CONFIG_GLOBAL=" + os.DevNull, "GIT_CONFIG_NOSYSTEM=1"}

// prepare makes a copy of the module of the working folder, with what is not committed,
// in which gremlins can be told the sample: it can be asked to change only the lines
// that differ from a commit (--diff). So the package's folder in the copy is a
// repository whose only commit has other lines in their place. prepare returns that
// folder, and the package's sources.
func prepare(root, dir string, choice sample) (place string, sources map[string]string, err error) {
	if err := copyModule(root); err != nil {
		return "", nil, err
	}
	place = filepath.Join(root, filepath.FromSlash(dir))
	sources = map[string]string{}
	commit := map[string]string{}
	lines := 0
	name := ""
	files, err := filepath.Glob(filepath.Join(place, "*.go"))
	if err != nil {
		return "", nil, err
	}
	for _, file := range files {
		base := filepath.Base(file)
		if strings.HasSuffix(base, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return "", nil, err
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), file, text, parser.PackageClauseOnly)
		if err != nil {
			return "", nil, err
		}
		name = syntax.Name.Name
		other, n := choice.others(path.Join(dir, base), string(text))
		sources[base], commit[base] = string(text), other
		lines += n
	}
	if lines == 0 { // for gremlins no difference at all means all lines
		return "", nil, fmt.Errorf("%s has no lines in the sample", dir)
	}
	// Gremlins looks for the package to test by its name, and takes the module's root
	// if the folder has another one.
	if filepath.Base(place) != name && dir != "." {
		renamed := filepath.Join(filepath.Dir(place), name)
		if err := os.Rename(place, renamed); err != nil {
			return "", nil, err
		}
		place = renamed
	}
	if err := writeAll(place, commit); err != nil {
		return "", nil, err
	}
	for _, args := range [][]string{
		{"init", "-q"},
		{"config", "diff.context", "0"}, // gremlins takes all changes of a hunk for one
		append([]string{"add", "-f"}, slices.Collect(maps.Keys(commit))...),
		{"-c", "user.name=mutants", "-c", "user.email=mutants@localhost", "commit", "-q", "-m", "other lines"},
	} {
		cmd := exec.Command("git", args...)
		cmd.Dir = place
		cmd.Env = append(os.Environ(), gitEnv...)
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", nil, fmt.Errorf("git %s: %w\n%s", args[0], err, out)
		}
	}
	return place, sources, writeAll(place, sources)
}

// copyModule copies the files of the working folder's repository that exist, tracked or
// new.
func copyModule(to string) error {
	out, err := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").Output()
	if err != nil {
		return fmt.Errorf("git ls-files: %w", err)
	}
	for name := range strings.SplitSeq(strings.TrimRight(string(out), "\x00"), "\x00") {
		info, err := os.Stat(name)
		if os.IsNotExist(err) || err == nil && !info.Mode().IsRegular() {
			continue
		}
		if err != nil {
			return err
		}
		data, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		target := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, data, info.Mode().Perm()); err != nil {
			return err
		}
	}
	return nil
}

// writeAll writes files of a folder.
func writeAll(dir string, files map[string]string) error {
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}
