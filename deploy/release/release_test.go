package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aead.dev/minisign"
	"go.yaml.in/yaml/v3"
)

func TestTargets(t *testing.T) {
	all, err := selectTargets("all")
	if err != nil || len(all) < 12 {
		t.Fatalf("%d targets, %v", len(all), err)
	}
	some, err := selectTargets("linux/arm/7,windows/amd64")
	if err != nil || len(some) != 2 || some[0].String() != "linux-armv7" || some[1].executable() != "trit.exe" {
		t.Errorf("%v, %v", some, err)
	}
	if _, err := selectTargets("plan9/amd64"); err == nil || !strings.Contains(err.Error(), "linux/amd64") {
		t.Errorf("an unknown target: %v", err)
	}
}

func TestVersions(t *testing.T) {
	for version, good := range map[string]bool{
		"v1.2.3": true, "v0.0.0-rc.1": true, "1.2.3": false, "v1.2": false, "v01.2.3": false, "v1.2.3+x": false, "v1.2.3 ": false,
	} {
		if versionPattern.MatchString(version) != good {
			t.Errorf("%q is taken: %v, want %v", version, !good, good)
		}
	}
}

// TestArchivesAreReproducible: neither times nor owners of the files come into an archive.
func TestArchivesAreReproducible(t *testing.T) {
	when := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	path := filepath.Join(t.TempDir(), "f")
	var all [2][]byte
	for i := range all {
		if err := os.WriteFile(path, []byte("text"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, time.Time{}, time.Unix(int64(1e9*i), 0)); err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := writeTarGz(&b, []entry{{"a/f", path, 0o755}}, when); err != nil {
			t.Fatal(err)
		}
		if err := writeZip(&b, []entry{{"a/f", path, 0o755}}, when); err != nil {
			t.Fatal(err)
		}
		all[i] = b.Bytes()
	}
	if !bytes.Equal(all[0], all[1]) {
		t.Error("the archives differ")
	}
}

// published is a release of all targets with programs that are none.
func published(t *testing.T) *release {
	t.Helper()
	targets, err := selectTargets("all")
	if err != nil {
		t.Fatal(err)
	}
	r := &release{
		version: "v1.2.3", root: "../..", out: t.TempDir(), stage: t.TempDir(), time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		targets: targets, url: "https://example.org/trit", homepage: "https://example.org/trit", maintainer: "A <a@example.org>",
	}
	for _, name := range []string{"man/trit.1", "completions/trit.bash", "completions/_trit", "completions/trit.fish"} {
		write(t, filepath.Join(r.stage, name), name)
	}
	for _, target := range targets {
		write(t, r.program(target), target.String())
	}
	if err := r.archives(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestLicenses: the file has the licences of what all systems have, that of one alone too, and is the one in the
// checkout.
func TestLicenses(t *testing.T) {
	r := &release{root: "../.."}
	if err := r.checkLicenses(t.Context()); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(r.root, licensesFile))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"The Go Authors", "inconshreveable/mousetrap", "charmbracelet/x/termios", "x509roots", "Apache License"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("%s says nothing of %s", licensesFile, want)
		}
	}
	if strings.Contains(string(text), "pgregory.net/rapid") {
		t.Errorf("%s has what only tests use", licensesFile)
	}
	if err := addLicenses(&bytes.Buffer{}, "a module", t.TempDir()); err == nil || !strings.Contains(err.Error(), "a module") {
		t.Errorf("a module without a licence: %v", err)
	}
	r = published(t)
	for _, target := range r.targets {
		entries, err := r.entries(target)
		if err != nil || !slices.ContainsFunc(entries, func(e entry) bool { return e.name == licensesFile }) {
			t.Errorf("the archive for %s has %v, %v", target, entries, err)
		}
	}
}

// TestManifests: what is said of the archives is what they are.
func TestManifests(t *testing.T) {
	r := published(t)
	if err := r.manifests(t.Context()); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		data, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	sum := func(name string) string {
		s, err := r.sum(name)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	var scoop struct {
		Version      string
		Architecture map[string]struct{ URL, Hash string }
	}
	if err := json.Unmarshal([]byte(read("trit.json")), &scoop); err != nil {
		t.Fatal(err)
	}
	if a := scoop.Architecture["64bit"]; scoop.Version != "1.2.3" || len(scoop.Architecture) != 2 ||
		a.URL != "https://example.org/trit/v1.2.3/trit-1.2.3-windows-amd64.zip" || a.Hash != sum("trit-1.2.3-windows-amd64.zip") {
		t.Errorf("Scoop: %+v", scoop)
	}
	var winget struct {
		Installers []struct {
			Architecture    string `yaml:"Architecture"`
			InstallerSha256 string `yaml:"InstallerSha256"`
		} `yaml:"Installers"`
	}
	if err := yaml.Unmarshal([]byte(read("Trit.Trit.installer.yaml")), &winget); err != nil {
		t.Fatal(err)
	}
	if len(winget.Installers) != 2 || winget.Installers[1].Architecture != "arm64" ||
		winget.Installers[1].InstallerSha256 != strings.ToUpper(sum("trit-1.2.3-windows-arm64.zip")) {
		t.Errorf("winget: %+v", winget)
	}
	formula := read("trit.rb")
	for _, name := range []string{"darwin-arm64", "darwin-amd64", "linux-arm64", "linux-amd64"} {
		if !strings.Contains(formula, `url "https://example.org/trit/v1.2.3/trit-1.2.3-`+name+".tar.gz\"\n      sha256 \""+sum("trit-1.2.3-"+name+".tar.gz")) {
			t.Errorf("the formula says nothing of %s:\n%s", name, formula)
		}
	}
	for _, name := range []string{"Trit.Trit.yaml", "Trit.Trit.locale.en-US.yaml"} {
		if err := yaml.Unmarshal([]byte(read(name)), &map[string]any{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	script := filepath.Join(r.out, "install.sh")
	if out, err := exec.Command("sh", "-n", script).CombinedOutput(); err != nil {
		t.Errorf("install.sh: %v\n%s", err, out)
	}
}

// TestSignature: the checksums are signed, with and without a password, and always with the same bytes.
func TestSignature(t *testing.T) {
	r := published(t)
	if err := r.checksums(t.Context()); err != nil {
		t.Fatal(err)
	}
	public, private, err := minisign.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := private.MarshalText()
	if err != nil {
		t.Fatal(err)
	}
	locked, err := minisign.EncryptKey("secret", private)
	if err != nil {
		t.Fatal(err)
	}
	sums, err := os.ReadFile(filepath.Join(r.out, checksumFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("MINISIGN_PASSWORD", "secret")
	var signatures []string
	for _, key := range [][]byte{plain, locked} {
		r.key = filepath.Join(t.TempDir(), "key")
		write(t, r.key, string(key))
		if err := r.sign(t.Context()); err != nil {
			t.Fatal(err)
		}
		signature, err := os.ReadFile(filepath.Join(r.out, checksumFile+".minisig"))
		if err != nil {
			t.Fatal(err)
		}
		if !minisign.Verify(public, sums, signature) {
			t.Errorf("the signature does not fit:\n%s", signature)
		}
		signatures = append(signatures, string(signature))
	}
	if signatures[0] != signatures[1] {
		t.Errorf("two signatures:\n%s\n%s", signatures[0], signatures[1])
	}
	t.Setenv("MINISIGN_PASSWORD", "wrong")
	if err := r.sign(t.Context()); err == nil || !strings.Contains(err.Error(), "MINISIGN_PASSWORD") {
		t.Errorf("a wrong password: %v", err)
	}
}
