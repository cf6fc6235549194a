package main

import (
	"bufio"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// list holds what may survive in the sample of a package.
type list struct {
	every   int               // the sample is one line in so many
	reasons map[string]string // why each entry may live
}

// split returns the file and the line of code of an entry.
func split(entry string) (file, code string) {
	file, rest, _ := strings.Cut(entry, " ")
	_, code, _ = strings.Cut(rest, ": ")
	return file, unmark(code)
}

// readList reads a list: the sample in a line, unless it is all lines, then an entry
// in a line, and why it may live in the next, which begins with a tab.
func readList(name string) (l *list, found bool, err error) {
	l = &list{every: 1, reasons: map[string]string{}}
	f, err := os.Open(name)
	if os.IsNotExist(err) {
		return l, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	last := ""
	s := bufio.NewScanner(f)
	for first := true; s.Scan(); first = false {
		line := s.Text()
		number, header := strings.CutPrefix(line, "every ")
		why, indented := strings.CutPrefix(line, "\t")
		switch {
		case line == "":
		case first && header:
			if _, err := fmt.Sscan(number, &l.every); err != nil || l.every < 1 {
				return nil, true, fmt.Errorf("%s: %q names no sample: expected a number from 1", name, line)
			}
		case !indented:
			if last != "" {
				return nil, true, fmt.Errorf("%s: no reason for %s", name, last)
			}
			last = line
		case last == "" || strings.TrimSpace(why) == "":
			return nil, true, fmt.Errorf("%s: %q is no reason", name, line)
		default:
			l.reasons[last] = why
			last = ""
		}
	}
	if last != "" {
		return nil, true, fmt.Errorf("%s: no reason for %s", name, last)
	}
	return l, true, s.Err()
}

// write writes a list.
func (l *list) write(name string) error {
	var b strings.Builder
	if l.every > 1 {
		fmt.Fprintf(&b, "every %d\n", l.every)
	}
	for _, s := range slices.Sorted(maps.Keys(l.reasons)) {
		fmt.Fprintf(&b, "%s\n\t%s\n", s, l.reasons[s])
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(b.String()), 0o644)
}
