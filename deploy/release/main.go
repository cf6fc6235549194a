// Command release makes everything that a release of Trit consists of: archives for all systems, packages for Linux, a
// container image, manifests of package managers, an install script, a list of components, checksums and a signature.
// What it makes depends on the commit, the version of Go and the parameters only: made twice, it is the same bit for
// bit.
//
// .ci/release runs it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// A release is what is made, and of what.
type release struct {
	version string // v1.2.3
	root    string // of the checkout
	out     string // folder of the results
	stage   string // folder of what goes into several of them
	time    time.Time
	targets []target

	url        string // where the files of all releases will be; each has a folder named by its version
	homepage   string
	maintainer string
	key        string // file with the minisign key, "" for no signature

	files []string // names of the results
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// versionPattern is a version of Semantic Versioning, without what may follow a +.
var versionPattern = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?$`)

func run(ctx context.Context, args []string) error {
	r := &release{}
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: .ci/release [flags] VERSION, such as v1.2.3, or .ci/release -licenses")
		flags.PrintDefaults()
	}
	flags.StringVar(&r.root, "root", ".", "the checkout")
	flags.StringVar(&r.out, "out", "dist", "folder of the results, which must be empty or not there")
	flags.StringVar(&r.url, "url", "", "where releases are published: the files will be at URL/VERSION/. Without it, there\n"+
		"are no manifests for package managers and no install script")
	flags.StringVar(&r.homepage, "homepage", "", "address of the project (default: the one of -url)")
	flags.StringVar(&r.maintainer, "maintainer", "The authors of Trit <trit@localhost>", "who answers for the packages: NAME <ADDRESS>")
	flags.StringVar(&r.key, "key", "", "file with a minisign key to sign the checksums with; its password is taken from\n"+
		"MINISIGN_PASSWORD")
	licenses := flags.Bool("licenses", false, "write "+licensesFile+" into the checkout, and make no release")
	only := flags.String("targets", "all", "systems, separated by commas, such as linux/amd64")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return nil
		}
		return err
	}
	if *licenses {
		text, err := r.licenses(ctx)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(r.root, licensesFile), text, 0o644)
	}
	if flags.NArg() != 1 || !versionPattern.MatchString(flags.Arg(0)) {
		flags.Usage()
		return fmt.Errorf("name one version, such as v1.2.3 or v1.2.3-rc.1")
	}
	r.version = flags.Arg(0)
	r.url = strings.TrimSuffix(r.url, "/")
	if r.homepage == "" {
		r.homepage = r.url
	}
	if err := r.prepare(ctx, *only); err != nil {
		return err
	}
	defer os.RemoveAll(r.stage)
	for _, step := range []func(context.Context) error{
		r.build, r.archives, r.packages, r.image, r.manifests, r.components, r.checksums, r.sign,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// prepare checks the checkout and the folders.
func (r *release) prepare(ctx context.Context, only string) (err error) {
	if r.targets, err = selectTargets(only); err != nil {
		return err
	}
	for _, path := range []*string{&r.root, &r.out} {
		if *path, err = filepath.Abs(*path); err != nil {
			return err
		}
	}
	changed, err := r.output(ctx, "git", "status", "--porcelain")
	if err != nil {
		return err
	}
	if changed != "" && !strings.Contains(r.version, "-") {
		return fmt.Errorf("the checkout differs from its commit; commit first, or call it a pre-release such as %s-rc.1\n%s", r.version, changed)
	}
	stamp, err := r.output(ctx, "git", "log", "-1", "--format=%ct")
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return fmt.Errorf("the time of the commit: %w", err)
	}
	r.time = time.Unix(seconds, 0).UTC()
	if err := r.checkLicenses(ctx); err != nil {
		return err
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	if there, err := os.ReadDir(r.out); err != nil || len(there) > 0 {
		return errors.Join(err, fmt.Errorf("%s is not empty; remove what is in it, or choose another folder with -out", r.out))
	}
	r.stage, err = os.MkdirTemp("", "trit-release-")
	return err
}

// number is the version without its v, as package managers want it.
func (r *release) number() string { return strings.TrimPrefix(r.version, "v") }

// add notes a result and says so.
func (r *release) add(name string) error {
	info, err := os.Stat(filepath.Join(r.out, name))
	if err != nil {
		return err
	}
	r.files = append(r.files, name)
	fmt.Printf("%9d %s\n", info.Size(), name)
	return nil
}

// write writes a result.
func (r *release) write(name string, data []byte) error {
	if err := os.WriteFile(filepath.Join(r.out, name), data, 0o644); err != nil {
		return err
	}
	return r.add(name)
}

// output runs a command in the checkout and returns what it prints.
func (r *release) output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Stderr = r.root, os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimSpace(string(out)), nil
}
