package main

import (
	"bytes"
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/goreleaser/nfpm/v2"
	_ "github.com/goreleaser/nfpm/v2/apk"
	_ "github.com/goreleaser/nfpm/v2/deb"
	_ "github.com/goreleaser/nfpm/v2/rpm"

	"compress/gzip"
)

// packageConfig says what the packages are, in the form of nfpm.yaml.
//
//go:embed nfpm.yaml
var packageConfig string

// packages writes the packages of Linux's distributions.
func (r *release) packages(ctx context.Context) error {
	made := false
	for _, t := range r.targets {
		if t.os != "linux" {
			continue
		}
		if !made {
			if err := r.zipPages(); err != nil {
				return err
			}
			made = true
		}
		for _, format := range []string{"deb", "rpm", "apk"} {
			if err := r.pack(t, format); err != nil {
				return fmt.Errorf("%s for %s: %w", format, t, err)
			}
		}
	}
	return nil
}

// zipPages makes the compressed manual pages and changes that packages have.
func (r *release) zipPages() error {
	pages, err := filepath.Glob(filepath.Join(r.stage, "man", "*.1"))
	if err != nil {
		return err
	}
	folder := filepath.Join(r.stage, "packages")
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, path := range append(pages, filepath.Join(r.root, "CHANGELOG.md")) {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var b bytes.Buffer
		zipped, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
		if err != nil {
			return err
		}
		if _, err := zipped.Write(data); err != nil {
			return err
		}
		if err := zipped.Close(); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(path)+".gz"), b.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (r *release) pack(t target, format string) error {
	values := map[string]string{
		"VERSION": r.number(), "ARCH": t.arch + t.arm, "PROGRAM": r.program(t), "STAGE": r.stage, "ROOT": r.root,
		"HOMEPAGE": r.homepage, "MAINTAINER": r.maintainer,
	}
	config, err := nfpm.ParseWithEnvMapping(strings.NewReader(packageConfig), func(name string) string { return values[name] })
	if err != nil {
		return err
	}
	info, err := config.Get(format)
	if err != nil {
		return err
	}
	info.MTime = r.time
	info.RPM.BuildHost = "localhost" // not the name of the machine
	info.Scripts = r.scripts(format)
	info = nfpm.WithDefaults(info)
	if err := nfpm.PrepareForPackager(info, format); err != nil {
		return err
	}
	packager, err := nfpm.Get(format)
	if err != nil {
		return err
	}
	info.Target = packager.ConventionalFileName(info)
	out, err := os.Create(filepath.Join(r.out, info.Target))
	if err != nil {
		return err
	}
	defer out.Close()
	if err := packager.Package(info, io.Writer(out)); err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	return r.add(info.Target)
}

// scripts are what a package runs when it is installed and removed. Those of Alpine have no service.
func (r *release) scripts(format string) nfpm.Scripts {
	if format == "apk" {
		return nfpm.Scripts{}
	}
	script := func(name string) string { return filepath.Join(r.root, "deploy", "release", "scripts", name) }
	return nfpm.Scripts{PostInstall: script("postinstall.sh"), PreRemove: script("preremove.sh"), PostRemove: script("postremove.sh")}
}
