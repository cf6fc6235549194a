package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"context"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// entry is a file of an archive.
type entry struct {
	name string // in the archive
	path string // where it is
	mode os.FileMode
}

// archives writes an archive for each target.
func (r *release) archives(context.Context) error {
	for _, t := range r.targets {
		entries, err := r.entries(t)
		if err != nil {
			return err
		}
		folder := "trit-" + r.number() + "-" + t.String()
		for i := range entries {
			entries[i].name = folder + "/" + entries[i].name
		}
		var b bytes.Buffer
		name := folder + ".tar.gz"
		if t.os == "windows" {
			name = folder + ".zip"
			err = writeZip(&b, entries, r.time)
		} else {
			err = writeTarGz(&b, entries, r.time)
		}
		if err != nil {
			return err
		}
		if err := r.write(name, b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// entries lists what the archive of a target has.
func (r *release) entries(t target) ([]entry, error) {
	entries := []entry{{t.executable(), r.program(t), 0o755}}
	for _, name := range []string{"LICENSE", licensesFile, "README.md", "CHANGELOG.md"} {
		entries = append(entries, entry{name, filepath.Join(r.root, name), 0o644})
	}
	folders := map[string]string{"completions": filepath.Join(r.stage, "completions")}
	if t.os != "windows" {
		folders["man/man1"] = filepath.Join(r.stage, "man")
	}
	if t.os == "linux" {
		folders["systemd"] = filepath.Join(r.root, "deploy", "systemd")
	}
	for in, folder := range folders {
		files, err := os.ReadDir(folder)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			entries = append(entries, entry{in + "/" + f.Name(), filepath.Join(folder, f.Name()), 0o644})
		}
	}
	slices.SortFunc(entries, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return entries, nil
}

// writeTarGz writes an archive that depends on nothing but its arguments and the files.
func writeTarGz(w io.Writer, entries []entry, when time.Time) error {
	zipped, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	archive := tar.NewWriter(zipped)
	for _, e := range entries {
		data, err := os.ReadFile(e.path)
		if err != nil {
			return err
		}
		header := &tar.Header{Name: e.name, Mode: int64(e.mode), Size: int64(len(data)), ModTime: when, Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(data); err != nil {
			return err
		}
	}
	if err := archive.Close(); err != nil {
		return err
	}
	return zipped.Close()
}

// writeZip does the same for Windows.
func writeZip(w io.Writer, entries []entry, when time.Time) error {
	archive := zip.NewWriter(w)
	archive.RegisterCompressor(zip.Deflate, func(w io.Writer) (io.WriteCloser, error) {
		return flate.NewWriter(w, flate.BestCompression)
	})
	for _, e := range entries {
		data, err := os.ReadFile(e.path)
		if err != nil {
			return err
		}
		header := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: when}
		header.SetMode(e.mode)
		f, err := archive.CreateHeader(header)
		if err != nil {
			return err
		}
		if _, err := f.Write(data); err != nil {
			return err
		}
	}
	return archive.Close()
}
