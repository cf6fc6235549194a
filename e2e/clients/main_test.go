// Package clients runs the published client libraries of OpenAI and Ollama
// against `trit serve` with the demo model.
//
//	go test ./...
//
// builds the program from this checkout, starts it on a free port and stops it
// in the end. TRIT_SERVER=http://host:port tests a server that is running
// already instead. The JavaScript clients are in the folder node; their test is
// skipped, and says so, where node or its packages are not installed. So is that of
// the Python clients, in the folder python, unless TRIT_PYTHON names an interpreter.
package clients

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	baseURL string // of the server under test, without a slash at the end
	program string // that was built; none if the server was running already
)

func TestMain(m *testing.M) {
	code, err := runAgainstServer(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func runAgainstServer(m *testing.M) (code int, err error) {
	if url := os.Getenv("TRIT_SERVER"); url != "" {
		baseURL = strings.TrimRight(url, "/")
		return m.Run(), nil
	}
	dir, err := os.MkdirTemp("", "trit-clients-")
	if err != nil {
		return 1, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program = filepath.Join(dir, "trit")
	if runtime.GOOS == "windows" {
		program += ".exe"
	}
	build := exec.Command("go", "build", "-o", program, "./cmd/trit")
	build.Dir = filepath.Join("..", "..")
	if out, err := build.CombinedOutput(); err != nil {
		return 1, fmt.Errorf("building trit: %w\n%s", err, out)
	}
	url, stop, err := startServer(program, dir)
	if err != nil {
		return 1, err
	}
	baseURL = url
	code = m.Run()
	return code, stop()
}

var listening = regexp.MustCompile(`listening on (http://[^\s"]+)`)

// startServer starts `trit serve` on a free port. The function it returns ends
// the server as an operator would, and reports what is wrong with how it ended.
func startServer(binary, home string, flags ...string) (url string, stop func() error, err error) {
	server := exec.Command(binary, append([]string{"serve", "--port", "0"}, flags...)...)
	server.Env = append(os.Environ(), "TRIT_HOME="+home)
	read, write := io.Pipe()
	server.Stdout, server.Stderr = write, write
	if err := server.Start(); err != nil {
		return "", nil, err
	}
	ended := make(chan error, 1)
	go func() {
		err := server.Wait()
		write.Close()
		ended <- err
	}()
	found := make(chan string, 1)
	output := make(chan string, 1)
	go func() {
		var said strings.Builder
		for lines := bufio.NewScanner(read); lines.Scan(); {
			fmt.Fprintln(&said, lines.Text())
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				select {
				case found <- m[1]:
				default:
				}
			}
		}
		output <- said.String()
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	select {
	case url = <-found:
	case err := <-ended:
		return "", nil, fmt.Errorf("trit serve ended at once: %v\n%s", err, <-output)
	case <-ctx.Done():
		return "", nil, errors.Join(errors.New("trit serve did not say within a minute that it is listening"), server.Process.Kill())
	}
	return strings.TrimRight(url, "/"), func() error {
		if runtime.GOOS == "windows" { // which has no SIGTERM
			return server.Process.Kill()
		}
		if err := server.Process.Signal(syscall.SIGTERM); err != nil {
			return err
		}
		select {
		case err := <-ended:
			if err != nil {
				return fmt.Errorf("trit serve did not end cleanly after SIGTERM: %w\n%s", err, <-output)
			}
			return nil
		case <-time.After(time.Minute):
			return errors.Join(errors.New("trit serve did not end within a minute after SIGTERM"), server.Process.Kill())
		}
	}, nil
}
