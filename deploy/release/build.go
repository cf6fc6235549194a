package main

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// target is a system that the program is built for.
type target struct {
	os, arch string
	arm      string // level of 32-bit ARM
}

// targetList has a system a line, as GOOS/GOARCH or, for 32-bit ARM, GOOS/GOARCH/GOARM.
//
//go:embed targets
var targetList string

func selectTargets(only string) (all []target, err error) {
	known := strings.Fields(targetList)
	wanted := known
	if only != "all" {
		wanted = strings.Split(only, ",")
	}
	for _, name := range wanted {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("-targets %s: want some of %s", name, strings.Join(known, ","))
		}
		parts := append(strings.Split(name, "/"), "")
		all = append(all, target{parts[0], parts[1], parts[2]})
	}
	return all, nil
}

// String names the target in the names of files.
func (t target) String() string {
	if t.arm != "" {
		return t.os + "-" + t.arch + "v" + t.arm
	}
	return t.os + "-" + t.arch
}

// program is the path of a target's program.
func (r *release) program(t target) string {
	return filepath.Join(r.stage, t.String(), t.executable())
}

func (t target) executable() string {
	if t.os == "windows" {
		return "trit.exe"
	}
	return "trit"
}

// build compiles the programs, and lets one for this machine write the manual pages and the completions.
func (r *release) build(ctx context.Context) error {
	for _, t := range r.targets {
		if err := r.compile(ctx, t); err != nil {
			return err
		}
	}
	host := target{os: hostEnv("GOHOSTOS"), arch: hostEnv("GOHOSTARCH")}
	if !slices.Contains(r.targets, host) {
		if err := r.compile(ctx, host); err != nil {
			return err
		}
	}
	trit := r.program(host)
	if _, err := r.output(ctx, trit, "man", filepath.Join(r.stage, "man")); err != nil {
		return err
	}
	folder := filepath.Join(r.stage, "completions")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for shell, name := range map[string]string{"bash": "trit.bash", "zsh": "_trit", "fish": "trit.fish", "powershell": "trit.ps1"} {
		script, err := r.output(ctx, trit, "completion", shell)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, name), []byte(script+"\n"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// hostEnv is a variable of Go for the machine that this runs on.
func hostEnv(name string) string {
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		panic(err) // this program has just been started by go run
	}
	return strings.TrimSpace(string(out))
}

// tags are those of all programs.
const tags = "-tags=nethttpomithttp2"

// environ is the environment in which Go works for the target.
func (t target) environ() []string {
	return append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOOS="+t.os, "GOARCH="+t.arch,
		// The levels that Go takes where nothing else is said; the program finds out by itself what a processor has.
		"GOAMD64=v1", "GOARM64=v8.0", "GO386=sse2", "GORISCV64=rva20u64", "GOARM="+t.arm)
}

// compact makes the program 2 % smaller: what talks with people and other programs needs no inlined functions. These
// are its packages, beside the command itself.
//
//go:embed compact
var compact string

// compactFlags are the flags of go build for them.
func compactFlags() []string {
	flags := []string{"-gcflags=-l"}
	for pattern := range strings.FieldsSeq(compact) {
		flags = append(flags, "-gcflags="+pattern+"=-l")
	}
	return flags
}

func (r *release) compile(ctx context.Context, t target) error {
	args := append([]string{"build", "-trimpath", tags, "-buildvcs=true",
		"-ldflags=-s -w -X " + r.module(ctx) + "/internal/version.release=" + r.version}, compactFlags()...)
	cmd := exec.CommandContext(ctx, "go", append(args, "-o", r.program(t), "./cmd/trit")...)
	cmd.Dir, cmd.Stderr = r.root, os.Stderr
	cmd.Env = t.environ()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("go build for %s: %w", t, err)
	}
	return nil
}

// module is the path of the main module.
func (r *release) module(ctx context.Context) string {
	path, err := r.output(ctx, "go", "list", "-m")
	if err != nil {
		panic(err) // as in hostEnv
	}
	return path
}
