package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"debug/buildinfo"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	cdx "github.com/CycloneDX/cyclonedx-go"
)

// modulesOf returns the modules of others that a program contains.
func modulesOf(info *debug.BuildInfo) []*debug.Module {
	modules := slices.Clone(info.Deps)
	for i, m := range modules {
		if m.Replace != nil {
			modules[i] = m.Replace
		}
	}
	return modules
}

// components writes what the programs consist of, as they say themselves, in the form of CycloneDX.
func (r *release) components(context.Context) error {
	for _, t := range r.targets {
		data, err := r.bom(t)
		if err != nil {
			return err
		}
		if err := r.write("trit-"+r.number()+"-"+t.String()+".cdx.json", data); err != nil {
			return err
		}
	}
	return nil
}

func (r *release) bom(t target) ([]byte, error) {
	info, err := buildinfo.ReadFile(r.program(t))
	if err != nil {
		return nil, err
	}
	program, err := os.ReadFile(r.program(t))
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256(program)
	main := cdx.Component{
		Type: cdx.ComponentTypeApplication, BOMRef: purl(info.Main.Path, r.version), Name: "trit", Version: r.version,
		PackageURL: purl(info.Main.Path, r.version), Licenses: &cdx.Licenses{{License: &cdx.License{ID: "MIT"}}},
		Hashes: &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(hash[:])}},
	}
	number := strings.TrimPrefix(info.GoVersion, "go")
	components := []cdx.Component{{
		Type: cdx.ComponentTypeLibrary, BOMRef: purl("std", number), Name: "std", Version: number, PackageURL: purl("std", number),
		Licenses: &cdx.Licenses{{License: &cdx.License{ID: "BSD-3-Clause"}}},
	}}
	uses := []string{components[0].BOMRef}
	for _, m := range modulesOf(info) {
		c := cdx.Component{
			Type: cdx.ComponentTypeLibrary, BOMRef: purl(m.Path, m.Version), Name: m.Path, Version: m.Version, PackageURL: purl(m.Path, m.Version),
		}
		if sum, ok := strings.CutPrefix(m.Sum, "h1:"); ok {
			value, err := base64.StdEncoding.DecodeString(sum)
			if err != nil {
				return nil, fmt.Errorf("the checksum of %s: %w", m.Path, err)
			}
			c.Hashes = &[]cdx.Hash{{Algorithm: cdx.HashAlgoSHA256, Value: hex.EncodeToString(value)}}
		}
		components = append(components, c)
		uses = append(uses, c.BOMRef)
	}
	bom := cdx.NewBOM()
	bom.Metadata = &cdx.Metadata{Timestamp: r.time.Format(time.RFC3339), Component: &main}
	bom.Components = &components
	bom.Dependencies = &[]cdx.Dependency{{Ref: main.BOMRef, Dependencies: &uses}}
	var b bytes.Buffer
	if err := cdx.NewBOMEncoder(&b, cdx.BOMFileFormatJSON).SetPretty(true).Encode(bom); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// purl names a Go module as package URLs do.
func purl(path, version string) string { return "pkg:golang/" + path + "@" + version }
