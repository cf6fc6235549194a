package docs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// pageTime is how long all commands of a page may take.
const pageTime = 2 * time.Minute

// address is where "trit serve" listens.
const address = "127.0.0.1:8080"

// TestCommands runs the commands of all pages.
func TestCommands(t *testing.T) {
	if os.Getenv("TRIT_DOCS") == "" {
		t.Skip("TRIT_DOCS is not set")
	}
	if l, err := net.Listen("tcp", address); err != nil {
		t.Fatalf("%v: the commands of the pages need this address", err)
	} else {
		l.Close()
	}
	r := newRunner(t)
	used := map[string]bool{}
	for _, p := range append(readPages(t), r.helpPages(t)...) {
		script := r.script(p, used)
		t.Run(strings.TrimSuffix(p.name, " --help"), func(t *testing.T) { r.run(t, p, script) })
	}
	for _, e := range exceptions {
		if !used[e.page+" "+e.command] {
			t.Errorf("exceptions: no command of %s is %s", e.page, e.command)
		}
	}
	for _, prepared := range preparations {
		if !used[prepared.page] {
			t.Errorf("preparations: no page is %s", prepared.page)
		}
	}
}

// runner runs pages.
type runner struct {
	work    string   // the copy of the checkout
	program string   // the folder with the program
	files   []string // of the checkout
	env     []string
}

func newRunner(t *testing.T) *runner {
	t.Helper()
	r := &runner{work: filepath.Join(t.TempDir(), "trit"), program: t.TempDir()}
	files, err := output("git", "-C", root, "ls-files", "--cached", "--others", "--exclude-standard")
	if err != nil {
		t.Fatal(err)
	}
	r.files = strings.Fields(files)
	if err := r.checkout(); err != nil {
		t.Fatal(err)
	}
	// What Go has downloaded and built is not asked for again.
	goEnv, err := output("go", "env", "GOCACHE", "GOMODCACHE", "GOPROXY", "GOSUMDB", "GOROOT")
	if err != nil {
		t.Fatal(err)
	}
	v := strings.Split(goEnv, "\n")
	r.env = []string{
		"GOCACHE=" + v[0], "GOMODCACHE=" + v[1], "GOPROXY=" + v[2], "GOSUMDB=" + v[3],
		"PATH=" + strings.Join([]string{r.program, filepath.Join(v[4], "bin"), "/usr/local/bin", "/usr/bin", "/bin"}, ":"),
		"GOFLAGS=-trimpath",              // packages that were built in another folder are the same
		"HF_ENDPOINT=http://127.0.0.1:1", // nothing is downloaded
	}
	if fixtures := os.Getenv("TRIT_FIXTURES"); fixtures != "" {
		r.env = append(r.env, "TRIT_FIXTURES="+fixtures)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(r.program, "trit"), "./cmd/trit")
	build.Dir, build.Env = r.work, append(r.env, "HOME="+t.TempDir())
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return r
}

// checkout makes a new copy of the checkout.
func (r *runner) checkout() error {
	if err := os.RemoveAll(r.work); err != nil {
		return err
	}
	for _, name := range r.files {
		data, err := os.ReadFile(filepath.Join(root, name))
		if errors.Is(err, os.ErrNotExist) {
			continue // deleted, and not committed yet
		}
		if err != nil {
			return err
		}
		to := filepath.Join(r.work, name)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(to, data, 0o755); err != nil {
			return err
		}
	}
	return nil
}

// helpPages returns the examples of the help of the program and its commands.
func (r *runner) helpPages(t *testing.T) []page {
	t.Helper()
	var pages []page
	names := []string{""}
	for i := 0; i < len(names); i++ {
		help, err := output(filepath.Join(r.program, "trit"), append(strings.Fields(names[i]), "--help")...)
		if err != nil {
			t.Fatal(err)
		}
		p, err := helpExamples(strings.TrimSpace("trit "+names[i])+" --help", help)
		if err != nil {
			t.Error(err)
		}
		pages = append(pages, p)
		if i == 0 {
			for _, m := range regexp.MustCompile(`(?m)^  ([a-z-]+) +[A-Z]`).FindAllStringSubmatch(help, -1) {
				if m[1] != "help" && m[1] != "completion" {
					names = append(names, m[1])
				}
			}
		}
	}
	if len(pages) < 20 {
		t.Errorf("the help of only %d commands was found", len(pages))
	}
	return pages
}

// prelude begins the script of a page: it says before each command where it
// stands, and keeps one server.
const prelude = `set -euo pipefail
exec </dev/null
at() { where=$1; echo "+ $where [$SECONDS s] $2"; }
server=
trap '[ -z "$server" ] || kill $server' EXIT
serve() {
	stop
	"$@" &
	server=$!
	for _ in $(seq 100); do
		kill -0 $server
		if curl -sfko /dev/null http://` + address + `/ready || curl -sfko /dev/null https://` + address + `/ready; then return; fi
		sleep 0.1
	done
	echo "the server does not become ready"
	return 1
}
stop() {
	[ -n "$server" ] || return 0
	kill $server
	wait $server
	server=
}
`

// comment matches what follows a command in its line.
var comment = regexp.MustCompile(`\s+# .*$`)

// script writes what runs a page, and notes the exceptions that it uses.
func (r *runner) script(p page, used map[string]bool) string {
	var b strings.Builder
	b.WriteString(prelude)
	for _, prepared := range preparations {
		if whole(prepared.page, p.name) != nil {
			used[prepared.page] = true
			for _, line := range strings.Split(strings.TrimSpace(prepared.run), "\n") {
				writeCommand(&b, p.name+", prepared", strings.TrimSpace(line))
			}
		}
	}
	for _, c := range p.commands {
		where := fmt.Sprintf("%s:%d", p.name, c.line)
		text := comment.ReplaceAllString(c.text, "")
		if c.mention {
			if strings.HasPrefix(text, "trit ") {
				writeCommand(&b, where, helpOf(text))
			}
			continue
		}
		if e, instead := except(p.name, text); e != nil {
			used[e.page+" "+e.command] = true
			if strings.HasPrefix(text, "trit ") {
				writeCommand(&b, where, helpOf(text))
			}
			if instead != "" {
				writeCommand(&b, where, instead)
			}
			continue
		}
		writeCommand(&b, where, text)
	}
	b.WriteString("stop\n")
	return b.String()
}

// except finds the exception that a command is, and what is run instead.
func except(page, text string) (*exception, string) {
	for i, e := range exceptions {
		if whole(e.page, page) == nil {
			continue
		}
		if groups := whole(e.command, text); groups != nil {
			instead := e.instead
			if len(groups) > 1 {
				instead = strings.ReplaceAll(instead, "$1", groups[1])
			}
			return &exceptions[i], instead
		}
	}
	return nil, ""
}

// helpOf returns a command that fails if the given one has flags that do not exist.
// What is behind a pipe or a semicolon is not looked at.
func helpOf(text string) string {
	// A number will do for most values, also of a flag at the end.
	return placeholder.ReplaceAllString(text, "${1}1") + " 1 --help >/dev/null"
}

// writeCommand adds a command to a script.
func writeCommand(b *strings.Builder, where, text string) {
	fmt.Fprintf(b, "at %s %s\n", quote(where), quote(text))
	if strings.HasPrefix(text, "trit serve") && !strings.HasSuffix(text, "--help >/dev/null") {
		text = "serve " + text
	}
	b.WriteString(text + "\n")
}

// quote writes a text as one word of a shell.
func quote(text string) string {
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// run runs a page.
func (r *runner) run(t *testing.T, p page, script string) {
	if err := r.checkout(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), pageTime)
	defer cancel()
	home := t.TempDir()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir, cmd.Env = r.work, append(r.env, "HOME="+home)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	stopAll(cmd)
	start := time.Now()
	err := cmd.Run()
	if err != nil {
		last := out.String()
		if i := strings.LastIndex(last, "\n+ "); i >= 0 {
			last = last[i+1:]
		}
		t.Errorf("%v after %s at\n%s", err, time.Since(start).Round(time.Second), last)
	}
	t.Logf("%d commands in %.1f s", len(p.commands), time.Since(start).Seconds())
	if os.Getenv("TRIT_DOCS") == "verbose" {
		t.Log(out.String())
	}
}

// output runs a command and returns what it prints, without the last newline.
func output(name string, args ...string) (string, error) {
	out, err := exec.Command(name, args...).Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimRight(string(out), "\n"), nil
}
