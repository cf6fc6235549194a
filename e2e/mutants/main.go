// Command mutants changes the code of packages in small ways (with gremlins, a
// published tool that has to be on the PATH), runs the package's tests on each
// change, and fails if one survives that is not on the list of accepted ones.
//
//	go run ./e2e/mutants -time 20m ./chat ./grammar
//
// A survivor is a gap in the tests, or a change that changes nothing. The first is
// to be filled, the second is accepted: it gets an entry in accepted/PACKAGE.txt,
// which says why. The files of a package are taken in random order until its time
// is over; -files takes some of them only. -write adds the survivors to the list,
// without reasons, and a list with an entry without a reason is an error. So is an
// entry that does not survive. An empty list says that none may.
//
// A package without a list is only reported on, until somebody has judged its
// survivors.
package main

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"log"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// mutators are the kinds of changes, beside those that gremlins makes unasked.
var mutators = []string{"--invert-logical"}

func main() {
	log.SetFlags(0)
	limit := flag.Duration("time", 20*time.Minute, "time for each package")
	write := flag.Bool("write", false, "add the survivors to the lists")
	lists := flag.String("lists", "e2e/mutants/accepted", "folder of the lists")
	workers := flag.Int("workers", 2, "mutants at a time")
	files := flag.String("files", "", "regular expression of the names of the files to change")
	flag.Parse()
	only, err := regexp.Compile(*files)
	if err != nil {
		log.Fatal(err)
	}
	if err := control(); err != nil {
		log.Fatal(err)
	}
	failed := false
	for _, dir := range flag.Args() {
		r, err := mutate(filepath.Clean(dir), only, *limit, *workers)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %d mutants, %d survive, %d are not covered, %d ran out of time; %d of %d files were reached\n",
			r.dir, r.mutants, len(r.survivors), r.uncovered, len(r.late), len(r.reached), r.files)
		list := filepath.Join(*lists, strings.ReplaceAll(r.dir, "/", "_")+".txt")
		accepted, found, err := readList(list)
		if err != nil {
			log.Fatal(err)
		}
		news, stale := r.compare(accepted)
		for _, s := range news {
			fmt.Printf("  survives: %s\n", s)
		}
		for _, s := range r.late {
			fmt.Printf("  runs out of time: %s\n", s)
		}
		for _, s := range stale {
			fmt.Printf("  is accepted and does not survive: %s\n", s)
		}
		if *write {
			for _, s := range news {
				accepted[s] = ""
			}
			for _, s := range stale {
				delete(accepted, s)
			}
			if err := writeList(list, accepted); err != nil {
				log.Fatal(err)
			}
			continue
		}
		switch {
		case !found:
			fmt.Printf("  %s does not exist yet; -write begins it\n", list)
		case len(news)+len(stale) > 0:
			failed = true
		}
	}
	if failed {
		log.Fatal("kill the survivors with tests, or say in the list why they may live")
	}
}

// control checks that gremlins tells what is killed from what is not, where that is
// known.
func control() error {
	r, err := mutate("e2e/mutants/control", regexp.MustCompile(""), 5*time.Minute, 1)
	if err != nil {
		return err
	}
	want := []string{"e2e/mutants/control/control.go CONDITIONALS_BOUNDARY: func Sign(n int) bool { return n ⟦>⟧ 0 }"}
	if r.mutants != 2 || !slices.Equal(r.survivors, want) {
		return fmt.Errorf("of the control's mutants, %d, these survive, and one should: %q", r.mutants, r.survivors)
	}
	return nil
}

// result is what has been found out about a package.
type result struct {
	dir                string
	files              int
	reached            []string // files whose mutants were all tried
	mutants, uncovered int
	survivors          []string // entries of a list
	late               []string // entries whose tests did not end in time; most of them loop forever
}

// mutate tries the mutants of a package, or only those of some files, for some time.
func mutate(dir string, only *regexp.Regexp, limit time.Duration, workers int) (*result, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	sources, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, source := range sources {
		if !strings.HasSuffix(source, "_test.go") {
			names = append(names, filepath.Base(source))
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%s has no Go files", dir)
	}
	rand.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	r := &result{dir: filepath.ToSlash(dir), files: len(names)}
	for _, name := range names {
		if !only.MatchString(name) {
			continue
		}
		if err := r.mutateFile(ctx, name, names, workers); err != nil {
			return nil, err
		}
	}
	slices.Sort(r.survivors)
	return r, nil
}

// outcome matches a line of gremlins' report.
var outcome = regexp.MustCompile(`^\s*(KILLED|LIVED|NOT COVERED|TIMED OUT|NOT VIABLE) (\w+) at (.+):(\d+):(\d+)$`)

// patience says how many times as long as the tests with coverage those of a mutant
// may take, with the build of both.
const patience = "10"

// goflags are for the go commands that gremlins runs. It measures how long the tests
// take, which an answer of go's cache would make too short; and its copy of the module
// has another folder every time, which must not make all packages new to that cache,
// as building them would take the time that the first mutants have.
const goflags = "-count=1 -trimpath"

// mutateFile tries the mutants of one file, and leaves out all others.
func (r *result) mutateFile(ctx context.Context, name string, names []string, workers int) error {
	if ctx.Err() != nil {
		return nil
	}
	args := append([]string{"unleash", "./" + r.dir, "--workers", fmt.Sprint(workers), "--timeout-coefficient", patience,
		"-E", "/"}, mutators...)
	for _, other := range names {
		if other != name {
			args = append(args, "-E", "^"+regexp.QuoteMeta(other)+"$")
		}
	}
	source, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "gremlins", args...)
	cmd.Env = append(os.Environ(), "GOFLAGS="+os.Getenv("GOFLAGS")+" "+goflags)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // it removes its copies
	cmd.WaitDelay = time.Minute
	out, err := cmd.CombinedOutput()
	if err != nil && ctx.Err() == nil {
		return fmt.Errorf("gremlins %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	if ctx.Err() == nil {
		r.reached = append(r.reached, name)
	}
	for line := range bytes.Lines(out) {
		m := outcome.FindStringSubmatch(strings.TrimRight(string(line), "\n"))
		if m == nil {
			continue
		}
		if m[3] != name {
			return fmt.Errorf("gremlins reports on %s, and was asked about %s", m[3], name)
		}
		r.mutants++
		switch m[1] {
		case "NOT COVERED":
			r.uncovered++
		case "LIVED", "TIMED OUT":
			var row, column int
			fmt.Sscan(m[4], &row)
			fmt.Sscan(m[5], &column)
			entry, err := mark(source, row, column)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			entry = fmt.Sprintf("%s %s: %s", path.Join(r.dir, name), m[2], entry)
			if m[1] == "LIVED" {
				r.survivors = append(r.survivors, entry)
			} else {
				r.late = append(r.late, entry)
			}
		}
	}
	return nil
}

// mark returns a line of a file with a mark around the operator that was changed,
// so that an entry stays true when other lines are changed.
func mark(source []byte, row, column int) (string, error) {
	lines := strings.Split(string(source), "\n")
	if row < 1 || row > len(lines) || column < 1 || column > len(lines[row-1]) {
		return "", fmt.Errorf("there is no line %d with a column %d", row, column)
	}
	line := lines[row-1]
	before, rest := line[:column-1], line[column-1:]
	after := strings.TrimLeft(rest, "<>=!&|+-*/%^")
	return strings.TrimSpace(before + "⟦" + rest[:len(rest)-len(after)] + "⟧" + after), nil
}

// compare returns the survivors that are not accepted, and accepted ones that are
// killed, as far as that is known: their file was reached, and their tests ended.
func (r *result) compare(accepted map[string]string) (news, stale []string) {
	for _, s := range slices.Compact(slices.Clone(r.survivors)) {
		if _, ok := accepted[s]; !ok {
			news = append(news, s)
		}
	}
	for _, s := range slices.Sorted(maps.Keys(accepted)) {
		file, _, _ := strings.Cut(s, " ")
		dir, name := path.Split(file)
		if path.Clean(dir) == r.dir && slices.Contains(r.reached, name) && !slices.Contains(r.survivors, s) &&
			!slices.Contains(r.late, s) {
			stale = append(stale, s)
		}
	}
	return news, stale
}

// readList reads a list: an entry in a line, and why it may live in the next,
// which begins with a tab.
func readList(name string) (accepted map[string]string, found bool, err error) {
	accepted = map[string]string{}
	f, err := os.Open(name)
	if os.IsNotExist(err) {
		return accepted, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	last := ""
	s := bufio.NewScanner(f)
	for s.Scan() {
		line := s.Text()
		why, indented := strings.CutPrefix(line, "\t")
		switch {
		case line == "":
		case !indented:
			if last != "" {
				return nil, true, fmt.Errorf("%s: no reason for %s", name, last)
			}
			last = line
		case last == "" || strings.TrimSpace(why) == "":
			return nil, true, fmt.Errorf("%s: %q is no reason", name, line)
		default:
			accepted[last] = why
			last = ""
		}
	}
	if last != "" {
		return nil, true, fmt.Errorf("%s: no reason for %s", name, last)
	}
	return accepted, true, s.Err()
}

// writeList writes a list.
func writeList(name string, accepted map[string]string) error {
	var b strings.Builder
	for _, s := range slices.Sorted(maps.Keys(accepted)) {
		fmt.Fprintf(&b, "%s\n\t%s\n", s, accepted[s])
	}
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(b.String()), 0o644)
}
