package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// nobody is the user of the image, by a number so that Kubernetes can see that it is not root.
const nobody = 65532

// image writes an image for the architectures of Linux: nothing in it but the program, certificates and an empty folder
// for models. It is a layout in a tar file, from which "crane push", "skopeo copy oci-archive:" and "podman load" read.
func (r *release) image(context.Context) error {
	var index v1.ImageIndex = mutate.IndexMediaType(empty.Index, types.DockerManifestList)
	images := 0
	for _, t := range r.targets {
		if t.os != "linux" {
			continue
		}
		image, err := r.imageFor(t)
		if err != nil {
			return err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: t.platform()}})
		images++
	}
	if images == 0 {
		return nil
	}
	folder := filepath.Join(r.stage, "image")
	path, err := layout.Write(folder, empty.Index)
	if err != nil {
		return err
	}
	name := map[string]string{"org.opencontainers.image.ref.name": r.number(), "io.containerd.image.name": "trit:" + r.number()}
	if err := path.AppendIndex(index, layout.WithAnnotations(name)); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := tarFolder(&b, folder, r.time); err != nil {
		return err
	}
	return r.write("trit-"+r.number()+"-image.tar", b.Bytes())
}

func (t target) platform() *v1.Platform {
	p := &v1.Platform{OS: t.os, Architecture: t.arch}
	if t.arm != "" {
		p.Variant = "v" + t.arm
	}
	return p
}

func (r *release) imageFor(t target) (v1.Image, error) {
	layer, err := r.layer(t)
	if err != nil {
		return nil, err
	}
	// A health check is something that images of Docker have, and those of OCI have not.
	image, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.DockerManifestSchema2), layer)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = t.os, t.arch, t.platform().Variant
	config.Created = v1.Time{Time: r.time}
	for i := range config.History {
		config.History[i] = v1.History{Created: config.Created, CreatedBy: "release"}
	}
	revision, err := r.output(context.Background(), "git", "rev-parse", "HEAD")
	if err != nil {
		return nil, err
	}
	config.Config = v1.Config{
		User: "65532:65532",
		// Both the server and the health check read TRIT_HOST.
		Env:          []string{"PATH=/", "TRIT_HOME=/models", "TRIT_HOST=0.0.0.0:8080"},
		Entrypoint:   []string{"/trit"},
		Cmd:          []string{"serve"},
		ExposedPorts: map[string]struct{}{"8080/tcp": {}},
		Volumes:      map[string]struct{}{"/models": {}},
		// Large models take a while to load; until then the server is live, not ready.
		Healthcheck: &v1.HealthConfig{
			Test: []string{"CMD", "/trit", "health"}, Interval: 10 * time.Second, Timeout: 3 * time.Second, StartPeriod: time.Minute, Retries: 3,
		},
		Labels: map[string]string{
			"org.opencontainers.image.title":    "Trit",
			"org.opencontainers.image.version":  r.version,
			"org.opencontainers.image.revision": revision,
			"org.opencontainers.image.licenses": "MIT",
			"org.opencontainers.image.url":      r.homepage,
		},
	}
	return mutate.ConfigFile(image, config)
}

// layer holds all files of the image.
func (r *release) layer(t target) (v1.Layer, error) {
	program, err := os.ReadFile(r.program(t))
	if err != nil {
		return nil, err
	}
	license, err := os.ReadFile(filepath.Join(r.root, "LICENSE"))
	if err != nil {
		return nil, err
	}
	licenses, err := os.ReadFile(filepath.Join(r.root, licensesFile))
	if err != nil {
		return nil, err
	}
	var roots bytes.Buffer // certificates are for downloading models
	for root := range bundle.Roots() {
		if err := pem.Encode(&roots, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, h := range []struct {
		tar.Header
		data []byte
	}{
		{tar.Header{Name: "etc/", Mode: 0o755}, nil},
		{tar.Header{Name: "etc/ssl/", Mode: 0o755}, nil},
		{tar.Header{Name: "etc/ssl/certs/", Mode: 0o755}, nil},
		{tar.Header{Name: "etc/ssl/certs/ca-certificates.crt", Mode: 0o644}, roots.Bytes()},
		{tar.Header{Name: "LICENSE", Mode: 0o644}, license},
		{tar.Header{Name: licensesFile, Mode: 0o644}, licenses},
		{tar.Header{Name: "models/", Mode: 0o755, Uid: nobody, Gid: nobody}, nil},
		{tar.Header{Name: "tmp/", Mode: 0o1777}, nil},
		{tar.Header{Name: "trit", Mode: 0o755}, program},
	} {
		h.Typeflag = tar.TypeReg
		if h.data == nil {
			h.Typeflag = tar.TypeDir
		}
		h.Size, h.ModTime, h.Format = int64(len(h.data)), r.time, tar.FormatUSTAR
		if err := w.WriteHeader(&h.Header); err != nil {
			return nil, err
		}
		if _, err := w.Write(h.data); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil },
		tarball.WithMediaType(types.DockerLayer))
}

// tarFolder writes all files of a folder, in the order of their names.
func tarFolder(w io.Writer, folder string, when time.Time) error {
	archive := tar.NewWriter(w)
	err := filepath.WalkDir(folder, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		header := &tar.Header{Name: filepath.ToSlash(name), Mode: 0o644, Size: int64(len(data)), ModTime: when, Format: tar.FormatUSTAR}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		_, err = archive.Write(data)
		return err
	})
	if err != nil {
		return err
	}
	return archive.Close()
}
