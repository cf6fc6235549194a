package main

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"strings"
	"text/template"
	"time"

	"aead.dev/minisign"
)

// templates are the files that say to package managers and to the install script what has been released.
//
//go:embed templates
var templates embed.FS

// manifest is what the templates know.
type manifest struct {
	*release
	Number, URL, Homepage, Date string
	PublicKey                   string
}

// archive is where the archive of a target will be.
type archive struct{ URL, Sum, Folder string }

// Upper is the checksum in the form of winget.
func (a archive) Upper() string { return strings.ToUpper(a.Sum) }

// Archive finds the archive of a target, nil if there is none in this release.
func (m manifest) Archive(goos, arch string) (*archive, error) {
	for _, t := range m.targets {
		if t != (target{os: goos, arch: arch}) {
			continue
		}
		folder := "trit-" + m.Number + "-" + t.String()
		name := folder + map[bool]string{true: ".zip", false: ".tar.gz"}[goos == "windows"]
		sum, err := m.sum(name)
		return &archive{m.URL + "/" + name, sum, folder}, err
	}
	return nil, nil
}

// manifests writes what names addresses, if they are known.
func (r *release) manifests(context.Context) error {
	if r.url == "" {
		fmt.Println("no manifests for package managers and no install script: no -url was given")
		return nil
	}
	m := manifest{
		release: r, Number: r.number(), URL: r.url + "/" + r.version, Homepage: r.homepage, Date: r.time.Format(time.DateOnly),
	}
	if r.key != "" {
		key, err := r.privateKey()
		if err != nil {
			return err
		}
		m.PublicKey = key.Public().(minisign.PublicKey).String()
	}
	all, err := template.New("").Funcs(template.FuncMap{"list": func(words ...string) []string { return words }}).ParseFS(templates, "templates/*")
	if err != nil {
		return err
	}
	for name, as := range map[string]string{
		"install.sh": "install.sh", "trit.rb": "trit.rb", "scoop.json": "trit.json", "winget.yaml": "Trit.Trit.yaml",
		"winget.installer.yaml": "Trit.Trit.installer.yaml", "winget.locale.en-US.yaml": "Trit.Trit.locale.en-US.yaml",
	} {
		var b bytes.Buffer
		if err := all.ExecuteTemplate(&b, name, m); err != nil {
			return err
		}
		if err := r.write(as, b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}
