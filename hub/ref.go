package hub

import (
	"fmt"
	"net/url"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"trit/gguf"
)

// hubPrefix begins the addresses of repositories on the hub.
const hubPrefix = "hf:"

// maxName bounds the length of a name in the store, in bytes. File systems
// allow 255 for a file name, and the suffixes of unfinished downloads are long.
const maxName = 120

// Ref is the address of something to download: a repository of the hub, or a
// URL.
type Ref struct {
	Repository string // owner/repo on the hub; "" for a URL
	Revision   string // branch, tag or commit; "" is the main branch
	Select     string // a file, a storage type such as i2_s, or "safetensors"; "" leaves the choice to Pull
	URL        string // where Repository is empty

	entry *Entry // the catalogue's, when the address was a name of it
}

// ParseRef reads an address: a name of the [Catalogue], hf:owner/repo with an
// optional @revision and an optional :file or :storage-type, or an http or https
// URL.
func ParseRef(s string) (Ref, error) {
	if e, ok := Lookup(s); ok {
		return Ref{Repository: e.Repository, Select: e.File, entry: &e}, nil
	}
	if rest, ok := strings.CutPrefix(s, hubPrefix); ok {
		return parseRepository(s, strings.TrimPrefix(rest, "//"))
	}
	if strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://") {
		u, err := url.Parse(s)
		if err != nil || u.Hostname() == "" {
			return Ref{}, fmt.Errorf("%w: %q is not a URL", ErrName, s)
		}
		return Ref{URL: s}, nil
	}
	if repositoryPattern.MatchString(s) {
		return Ref{}, fmt.Errorf("%w: %q is not in the catalogue; for the repository on the hub write %s%s", ErrName, s, hubPrefix, s)
	}
	return Ref{}, fmt.Errorf("%w: %q is neither a name of the catalogue nor %sowner/repo nor a URL%s", ErrName, s, hubPrefix, meant(s, nil))
}

// repositoryPattern is what the hub accepts as the name of a repository.
var repositoryPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}$`)

// revisionPattern is what git accepts as the name of a branch, more or less.
var revisionPattern = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$`)

func parseRepository(whole, s string) (Ref, error) {
	var r Ref
	s, r.Select, _ = strings.Cut(s, ":")
	if strings.HasSuffix(whole, ":") {
		return Ref{}, fmt.Errorf("%w: %q: nothing follows the colon; want a file name or a storage type", ErrName, whole)
	}
	var hasRevision bool
	r.Repository, r.Revision, hasRevision = strings.Cut(s, "@")
	if !repositoryPattern.MatchString(r.Repository) || strings.Contains(r.Repository, "..") {
		return Ref{}, fmt.Errorf("%w: %q: the repository is %q; want %sowner/repo[@revision][:file-or-type]", ErrName, whole, r.Repository, hubPrefix)
	}
	if hasRevision && !validRevision(r.Revision) {
		return Ref{}, fmt.Errorf("%w: %q: %q cannot be a revision", ErrName, whole, r.Revision)
	}
	return r, nil
}

func validRevision(s string) bool {
	return revisionPattern.MatchString(s) && !strings.Contains(s, "..")
}

// onHub turns the URL of a file on the hub into a hub address, which has
// checksums. Other addresses stay as they are.
func (r Ref) onHub(endpoint *url.URL) Ref {
	if r.Repository != "" {
		return r
	}
	u, err := url.Parse(r.URL)
	if err != nil || !sameOrigin(u, endpoint) || u.RawQuery != "" && u.RawQuery != "download=true" {
		return r
	}
	rest, ok := strings.CutPrefix(u.Path, strings.TrimSuffix(endpoint.Path, "/")+"/")
	if !ok {
		return r
	}
	parts := strings.Split(strings.TrimSuffix(rest, "/"), "/")
	if len(parts) < 2 || !repositoryPattern.MatchString(parts[0]+"/"+parts[1]) {
		return r
	}
	h := Ref{Repository: parts[0] + "/" + parts[1]}
	switch {
	case len(parts) == 2:
		return h
	case len(parts) >= 4 && (parts[2] == "resolve" || parts[2] == "blob" || parts[2] == "tree") && validRevision(parts[3]):
		h.Revision = parts[3]
		h.Select = strings.Join(parts[4:], "/")
		return h
	}
	return r
}

// String returns the address in the form that ParseRef reads.
func (r Ref) String() string {
	if r.Repository == "" {
		return showURL(r.URL)
	}
	s := hubPrefix + r.Repository
	if r.Revision != "" {
		s += "@" + r.Revision
	}
	if r.Select != "" {
		s += ":" + r.Select
	}
	return s
}

// Name returns the name that a model from this address gets in the store unless
// another is given.
func (r Ref) Name() string {
	if r.entry != nil {
		return r.entry.Name
	}
	if r.Repository == "" {
		u, err := url.Parse(r.URL)
		if err != nil {
			return ""
		}
		return cleanName(path.Base(u.Path))
	}
	name := path.Base(r.Repository)
	if strings.HasSuffix(strings.ToLower(name), "-gguf") {
		name = name[:len(name)-len("-gguf")]
	}
	selected := cleanName(path.Base(r.Select))
	switch {
	case r.Select == "" || strings.EqualFold(r.Select, selectSafetensors):
	case strings.Contains(strings.ToLower(selected), strings.ToLower(name)):
		name = selected
	default:
		name += "-" + selected
	}
	return cleanName(name)
}

// cleanName makes a name for the store out of a file name: without the suffix
// .gguf, and with - for everything but letters, digits, dot, - and _. A clean
// name stays as it is.
func cleanName(s string) string {
	for {
		c := cleanOnce(s)
		if c == s {
			return s
		}
		s = c // cutting an end off may have uncovered another .gguf
	}
}

func cleanOnce(s string) string {
	if strings.HasSuffix(strings.ToLower(s), modelSuffix) {
		s = s[:len(s)-len(modelSuffix)]
	}
	if stem, _, _, ok := gguf.ParsePartName(s + modelSuffix); ok {
		s = stem // the parts become one file
	}
	s = strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && (unicode.IsLetter(r) || unicode.IsDigit(r)) || r == '.' || r == '-' || r == '_' {
			return r
		}
		return '-'
	}, s)
	s = strings.TrimLeft(s, ".-_")
	if len(s) > maxName {
		s = s[:maxName]
	}
	return strings.TrimRight(s, ".-_")
}

// checkName refuses what cannot be a name in the store on every system.
func checkName(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: the name is empty", ErrName)
	case reserved(name):
		return fmt.Errorf("%w: %q is the name of an embedded model", ErrName, name)
	case cleanName(name) != name:
		hint := ""
		if c := cleanName(name); c != "" {
			hint = fmt.Sprintf("; %q would do", c)
		}
		return fmt.Errorf("%w: %q: a name has up to %d letters, digits, dots, - and _, and begins and ends with a letter or digit%s", ErrName, name, maxName, hint)
	case reservedOnWindows(name):
		return fmt.Errorf("%w: %q is the name of a device on Windows", ErrName, name)
	}
	return nil
}

// reservedOnWindows reports names that Windows gives to devices, with any
// extension. They are refused everywhere, so that stores can move.
func reservedOnWindows(name string) bool {
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	switch stem {
	case "CON", "PRN", "AUX", "NUL":
		return true
	}
	return len(stem) == 4 && (strings.HasPrefix(stem, "COM") || strings.HasPrefix(stem, "LPT")) && stem[3] >= '0' && stem[3] <= '9'
}

// checkFilePath refuses the path of a file in a repository unless it leads to
// a place below the folder it is joined to, on every system.
func checkFilePath(p string) error {
	bad := func(why string) error {
		return fmt.Errorf("%w: %q %s; nothing of this repository is downloaded", ErrUnsafePath, p, why)
	}
	if p == "" || len(p) > 1000 {
		return bad("is empty or very long")
	}
	for _, r := range p {
		if unicode.IsControl(r) || r == '\\' || r == ':' || r == unicode.ReplacementChar {
			return bad("has a character that file names must not have")
		}
	}
	for _, element := range strings.Split(p, "/") {
		if element == "" || element == "." || element == ".." || reservedOnWindows(element) ||
			strings.HasSuffix(element, ".") || strings.HasSuffix(element, " ") {
			return bad("would lead elsewhere")
		}
	}
	if !filepath.IsLocal(filepath.FromSlash(p)) {
		return bad("would lead elsewhere")
	}
	return nil
}

// showURL returns a URL for messages and records: without password and query,
// which may hold secrets.
func showURL(s string) string {
	u, err := url.Parse(s)
	if err != nil {
		return "(bad URL)"
	}
	return show(u)
}

func show(u *url.URL) string {
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path, RawPath: u.RawPath}
	return shown.String()
}

// sameOrigin reports whether two URLs have the same scheme, host and port.
func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

func port(u *url.URL) string {
	switch {
	case u.Port() != "":
		return u.Port()
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	}
	return "80"
}
