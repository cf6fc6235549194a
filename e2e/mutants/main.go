// Command mutants changes the code of packages in small ways (with gremlins, a
// published tool that has to be on the PATH), runs the package's tests on each
// change, and fails if one survives that is not on the list of accepted ones.
//
//	go run ./e2e/mutants -time 20m ./chat ./grammar
//
// A survivor is a gap in the tests, or a change that changes nothing. The first is
// to be filled, the second is accepted: it gets an entry in accepted/PACKAGE.txt,
// which says why. An entry without a reason is an error, and so is one that does not
// survive. A list without entries says that none may.
//
// To try every mutant of a large package takes hours. Its list therefore begins with
// a line "every N": of its lines of code, one in N is changed, always the same ones,
// whatever becomes of the lines around them. A list judges all mutants of its sample.
//
// Only the package's own tests are run, as `go test -short` runs them. What other
// packages' tests see of a change is not known here, and code that only they reach, as
// those of server reach most of server/core, counts as not covered.
//
// -write writes the list anew, adding the survivors without reasons; with -every it
// begins one for another sample. -files takes some of the files only. A package
// without a list is only reported on, until somebody has judged its survivors.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"maps"
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
	write := flag.Bool("write", false, "write the lists: with the survivors, without entries that do not survive")
	lists := flag.String("lists", "e2e/mutants/accepted", "folder of the lists")
	workers := flag.Int("workers", 2, "mutants at a time")
	files := flag.String("files", "", "regular expression of the names of the files to change")
	every := flag.Int("every", 0, "change one line in so many, instead of those that the list is for")
	verbose := flag.Bool("v", false, "print what gremlins prints")
	flag.Parse()
	only, err := regexp.Compile(*files)
	if err != nil {
		log.Fatal(err)
	}
	if *verbose {
		progress = os.Stderr
	}
	if err := control(); err != nil {
		log.Fatal(err)
	}
	failed := false
	for _, dir := range flag.Args() {
		dir := filepath.ToSlash(filepath.Clean(dir))
		file := filepath.Join(*lists, strings.ReplaceAll(dir, "/", "_")+".txt")
		accepted, found, err := readList(file)
		if err != nil {
			log.Fatal(err)
		}
		if *every > 0 {
			accepted.every = *every
		}
		r, err := mutate(dir, sample{accepted.every, only}, *limit, *workers)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(r)
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
				accepted.reasons[s] = ""
			}
			for _, s := range stale {
				delete(accepted.reasons, s)
			}
			if err := accepted.write(file); err != nil {
				log.Fatal(err)
			}
			continue
		}
		switch {
		case !found:
			fmt.Printf("  %s does not exist yet; -write begins it\n", file)
		case len(news)+len(stale) > 0:
			failed = true
		}
	}
	if failed {
		log.Fatal("kill the survivors with tests, or say in the list why they may live")
	}
}

// progress is where gremlins' output goes while it is made.
var progress = io.Discard

// control checks that gremlins tells what is killed from what is not, where that is
// known, and that it leaves out what is not in the sample.
func control() error {
	const dir = "e2e/mutants/control"
	r, err := mutate(dir, sample{2, regexp.MustCompile("")}, 5*time.Minute, 1)
	if err != nil {
		return err
	}
	want := []string{dir + "/control.go CONDITIONALS_BOUNDARY: func Sign(n int) bool { return n ⟦>⟧ 0 }"}
	if !r.complete || r.mutants != 2 || !slices.Equal(r.survivors, want) {
		return fmt.Errorf("of the control's mutants, %d, these survive, and one should: %q", r.mutants, r.survivors)
	}
	return nil
}

// result is what has been found out about a package.
type result struct {
	dir                string
	sample             sample
	complete           bool // all mutants of the sample were tried
	mutants, uncovered int
	survivors          []string // entries of a list
	late               []string // entries whose tests did not end in time; most of them loop forever
}

// String says it in one line.
func (r *result) String() string {
	part := "all lines"
	if r.sample.every > 1 {
		part = fmt.Sprintf("one line in %d", r.sample.every)
	}
	end := ""
	if !r.complete {
		end = "; the time was over before all had been tried"
	}
	return fmt.Sprintf("%s, %s: %d mutants, %d survive, %d are not covered, %d ran out of time%s",
		r.dir, part, r.mutants, len(r.survivors), r.uncovered, len(r.late), end)
}

// outcome matches a line of gremlins' report.
var outcome = regexp.MustCompile(`^\s*(KILLED|LIVED|NOT COVERED|TIMED OUT|NOT VIABLE) (\w+) at (.+):(\d+):(\d+)$`)

// patience says how many times as long as the tests with coverage those of a mutant
// may take, with the build of both.
const patience = "6"

// goflags are for the go commands that gremlins runs. It measures how long the tests
// take, which an answer of go's cache would make too short; and its copy of the module
// has another folder every time, which must not make all packages new to that cache,
// as building them would take the time that the first mutants have. What a change does
// is for the tests to find, not for vet.
const goflags = "-count=1 -trimpath -short -vet=off"

// mutate tries the mutants of a sample of a package for some time.
func mutate(dir string, choice sample, limit time.Duration, workers int) (*result, error) {
	r := &result{dir: dir, sample: choice}
	temp, err := os.MkdirTemp("", "mutants-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(temp)
	work := filepath.Join(temp, "work") // where gremlins makes its own copies
	if err := os.Mkdir(work, 0o755); err != nil {
		return nil, err
	}
	place, sources, err := prepare(filepath.Join(temp, "module"), dir, choice)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	args := append([]string{"unleash", "--diff", "HEAD", "--workers", fmt.Sprint(workers),
		"--timeout-coefficient", patience, "-E", "/"}, mutators...)
	cmd := exec.CommandContext(ctx, "gremlins", args...)
	cmd.Dir = place
	cmd.Env = append(os.Environ(), "PWD="+place, "TMPDIR="+work, "GOFLAGS="+os.Getenv("GOFLAGS")+" "+goflags)
	cmd.Env = append(cmd.Env, gitEnv...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = time.Minute
	var out bytes.Buffer
	cmd.Stdout = io.MultiWriter(&out, progress)
	cmd.Stderr = cmd.Stdout
	err = cmd.Run()
	if err != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("gremlins %s: %w\n%s", strings.Join(args, " "), err, out.Bytes())
	}
	r.complete = ctx.Err() == nil
	return r, r.read(out.Bytes(), sources)
}

// read takes what gremlins prints about the mutants.
func (r *result) read(out []byte, sources map[string]string) error {
	for line := range strings.Lines(string(out)) {
		m := outcome.FindStringSubmatch(strings.TrimRight(line, "\n"))
		if m == nil {
			continue
		}
		var row, column int
		fmt.Sscan(m[4], &row)
		fmt.Sscan(m[5], &column)
		file := path.Join(r.dir, m[3])
		code, err := mark(sources[m[3]], row, column)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		if !r.sample.has(file, unmark(code)) {
			return fmt.Errorf("gremlins changes %s, which is not in the sample: %s", file, code)
		}
		entry := fmt.Sprintf("%s %s: %s", file, m[2], code)
		r.mutants++
		switch m[1] {
		case "NOT COVERED":
			r.uncovered++
		case "LIVED":
			r.survivors = append(r.survivors, entry)
		case "TIMED OUT":
			r.late = append(r.late, entry)
		}
	}
	slices.Sort(r.survivors)
	slices.Sort(r.late)
	return nil
}

// mark returns a line of a file with a mark around the operator that was changed,
// so that an entry stays true when other lines are changed.
func mark(source string, row, column int) (string, error) {
	lines := strings.Split(source, "\n")
	if row < 1 || row > len(lines) || column < 1 || column > len(lines[row-1]) {
		return "", fmt.Errorf("there is no line %d with a column %d", row, column)
	}
	line := lines[row-1]
	before, rest := line[:column-1], line[column-1:]
	after := strings.TrimLeft(rest, "<>=!&|+-*/%^")
	return strings.TrimSpace(before + "⟦" + rest[:len(rest)-len(after)] + "⟧" + after), nil
}

// unmark takes the mark away.
func unmark(code string) string { return strings.NewReplacer("⟦", "", "⟧", "").Replace(code) }

// compare returns the survivors that are not accepted, and accepted ones that are
// killed, as far as that is known: they are in the sample, all of it was tried, and
// their tests ended.
func (r *result) compare(accepted *list) (news, stale []string) {
	for _, s := range slices.Compact(slices.Clone(r.survivors)) {
		if _, ok := accepted.reasons[s]; !ok {
			news = append(news, s)
		}
	}
	for _, s := range slices.Sorted(maps.Keys(accepted.reasons)) {
		file, code := split(s)
		if r.complete && r.sample.has(file, code) && !slices.Contains(r.survivors, s) && !slices.Contains(r.late, s) {
			stale = append(stale, s)
		}
	}
	return news, stale
}
