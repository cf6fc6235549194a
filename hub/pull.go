package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"trit/gguf"
)

// PullOptions says how to pull. The zero value is good for models that need no
// conversion.
type PullOptions struct {
	// Name is what the model is called in the store; empty means a name made from
	// the address.
	Name string
	// Revision is a branch, tag or commit of the repository; empty means the one
	// in the address, or else the main branch.
	Revision string
	// SHA256 is the checksum that the GGUF file must have, in hex. It is of use
	// with URLs, for which no one else says it.
	SHA256 string
	// Force replaces a model of the same name that came from elsewhere, and
	// fetches anew what is there already.
	Force bool
	// Connections is the number of parallel requests; 0 means 4.
	Connections int
	// Convert turns the checkpoint in the folder dir into the GGUF file out. It is
	// needed for repositories that have safetensors only. The folder has the
	// model's name.
	Convert func(ctx context.Context, dir, out string) error
	// Variant describes what Convert makes, such as a storage type. A model that
	// was converted to another variant is converted again.
	Variant string
	// KeepCheckpoint leaves the downloaded checkpoint in the store's folder
	// .partial after the conversion.
	KeepCheckpoint bool
	// Endpoint and Token override HF_ENDPOINT and HF_TOKEN.
	Endpoint string
	Token    string
	// Confirm, if not nil, is asked before anything is downloaded, once; its error ends
	// the call. A model that is up to date is no question.
	Confirm func(context.Context, *Offer) error
	// Progress, if not nil, is called now and then, from several goroutines but
	// never from two at once.
	Progress func(Progress)
	// Log, if not nil, gets what is worth knowing beyond progress and errors.
	Log *slog.Logger
}

func (o *PullOptions) connections() int {
	if o.Connections == 0 {
		return 4
	}
	return o.Connections
}

func (o *PullOptions) logger() *slog.Logger {
	if o.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return o.Log
}

// Pulled is what [Pull] did.
type Pulled struct {
	Model
	Manifest    *Manifest `json:"manifest"`
	UpToDate    bool      `json:"up_to_date"`  // the model was there, as it is on the server
	Transferred int64     `json:"transferred"` // bytes that came over the network
}

// Pull downloads a model into the store. ref is an address as [ParseRef] reads
// it.
//
// A model that is in the store already is compared with the server's and
// replaced if it is older. While Pull runs, other processes are kept from
// working on the same name. When it is interrupted, by a cancelled context or
// anything else, the next call with the same address goes on where it stopped.
// After any error the store has no new model, and an old one of the same name is
// unchanged.
func Pull(ctx context.Context, ref string, o PullOptions) (*Pulled, error) {
	return pull(ctx, ref, o, defaultTuning())
}

// puller is one call of Pull.
type puller struct {
	PullOptions
	c     *client
	ref   Ref
	name  string
	place *place
	meter *meter
}

func pull(ctx context.Context, address string, o PullOptions, t tuning) (result *Pulled, err error) {
	p := &puller{PullOptions: o, meter: &meter{report: o.Progress, interval: t.report}}
	if err := p.prepare(address); err != nil {
		return nil, err
	}
	if p.c, err = newClient(&o, t); err != nil {
		return nil, err
	}
	defer p.c.close()
	if p.ref = p.ref.onHub(p.c.endpoint); p.Name == "" {
		p.name = p.ref.Name()
	}
	if err := checkName(p.name); err != nil {
		return nil, err
	}
	if p.place, err = placeOf(p.name); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("hub: stopped: %w", context.Cause(ctx))
	}
	l, err := p.place.claim(p.name)
	if err != nil {
		return nil, err
	}
	defer func() {
		if e := l.release(); e != nil {
			result, err = nil, errors.Join(err, fmt.Errorf("hub: %w", e))
		}
	}()
	for again := false; ; again = true {
		result, err = p.pull(ctx)
		if errors.Is(err, ErrChanged) && !again {
			p.c.log.Warn("hub: the file changed during the download, which begins anew", "error", err)
			p.meter = &meter{report: o.Progress, interval: t.report, came: p.meter.came}
			continue
		}
		return result, err
	}
}

// prepare checks what can be checked without a network.
func (p *puller) prepare(address string) error {
	var err error
	if p.ref, err = ParseRef(address); err != nil {
		return err
	}
	if p.Connections < 0 || p.Connections > 64 {
		return fmt.Errorf("%w: %d connections; want 1 to 64", ErrName, p.Connections)
	}
	if p.Revision != "" {
		switch {
		case p.ref.Repository == "":
			return fmt.Errorf("%w: a URL has no revision", ErrName)
		case !validRevision(p.Revision):
			return fmt.Errorf("%w: %q cannot be a revision", ErrName, p.Revision)
		case p.ref.Revision != "" && p.ref.Revision != p.Revision:
			return fmt.Errorf("%w: the address says revision %s, the option %s", ErrName, p.ref.Revision, p.Revision)
		}
		p.ref.Revision = p.Revision
	}
	if p.SHA256 != "" {
		if p.SHA256, err = checkSHA256(p.SHA256); err != nil {
			return err
		}
	}
	if p.Name != "" {
		p.name = p.Name
		if err := checkName(p.name); err != nil {
			return err
		}
	}
	switch strings.ToLower(os.Getenv("HF_HUB_OFFLINE")) {
	case "1", "true", "on", "yes":
		return fmt.Errorf("%w: HF_HUB_OFFLINE is set, so nothing is downloaded; unset it for that", ErrOffline)
	}
	return nil
}

// pull does the work, with the name locked.
func (p *puller) pull(ctx context.Context) (*Pulled, error) {
	m := &Manifest{Name: p.name}
	s, err := p.find(ctx, m)
	if err != nil {
		return nil, err
	}
	if s.checkpoint != nil {
		m.Converted, m.Variant = true, p.Variant
		if p.Convert == nil {
			return nil, fmt.Errorf("%w: the repository %s has safetensors only, and nothing here converts them", ErrNoConverter, p.ref.Repository)
		}
	}
	m.SourceID = sourceID(s.files())
	if old, err := p.existing(m); old != nil || err != nil {
		return old, err
	}
	if err := p.checkSpace(s); err != nil {
		return nil, err
	}
	if confirm := p.Confirm; confirm != nil {
		p.Confirm = nil
		if err := confirm(ctx, p.offer(s, m)); err != nil {
			return nil, err
		}
	}
	file, err := p.download(ctx, s, m)
	if err != nil {
		return nil, err
	}
	m.Time = time.Now().UTC().Truncate(time.Second)
	if err := p.place.install(file, m); err != nil {
		return nil, err
	}
	if !p.KeepCheckpoint {
		if err := removeAll(p.place.folder); err != nil {
			return nil, err
		}
	}
	return &Pulled{Model: p.model(m), Manifest: m, Transferred: p.meter.came}, nil
}

func (p *puller) model(m *Manifest) Model {
	return Model{Name: p.name, Path: p.place.model, Source: Store, Description: "from " + m.From()}
}

// find asks what there is to download, and notes it in the manifest.
func (p *puller) find(ctx context.Context, m *Manifest) (*selection, error) {
	if p.ref.Repository == "" {
		u, err := url.Parse(p.ref.URL)
		if err != nil {
			return nil, fmt.Errorf("%w: %q is not a URL", ErrName, p.ref.URL)
		}
		f := remoteFile{path: path.Base(u.Path), url: u, size: -1, sha256: p.SHA256}
		if err := p.c.probe(ctx, &f); err != nil {
			return nil, err
		}
		m.URL = show(u)
		s := &selection{parts: []remoteFile{f}}
		return s, p.expect(&s.parts[0])
	}
	r, err := p.c.list(ctx, p.ref.Repository, p.ref.Revision)
	if err != nil {
		return nil, err
	}
	s, err := r.choose(p.ref.Select)
	if err != nil {
		return nil, err
	}
	m.Repository, m.Revision, m.License = r.name, r.commit, r.license
	for _, f := range s.files() {
		m.Files = append(m.Files, f.path)
	}
	if e := p.ref.entry; e != nil {
		if m.License == "" {
			m.License = e.License
		}
		if e.SHA256 != "" && p.SHA256 == "" && p.ref.Revision == "" && len(s.parts) == 1 {
			if f := &s.parts[0]; f.sha256 != "" && f.sha256 != e.SHA256 {
				return nil, fmt.Errorf("%w: %s has the SHA-256 %s on the hub and %s in the catalogue; if its owners have changed it, pull %s:%s", ErrChecksum, f.path, f.sha256, e.SHA256, hubPrefix+e.Repository, e.File)
			}
			s.parts[0].sha256 = e.SHA256
		}
	}
	if p.SHA256 != "" {
		if len(s.parts) != 1 {
			return nil, fmt.Errorf("%w: a checksum was given, but %s is not one GGUF file", ErrName, p.ref)
		}
		return s, p.expect(&s.parts[0])
	}
	return s, nil
}

// expect makes the checksum that the user gave the one of the file.
func (p *puller) expect(f *remoteFile) error {
	if p.SHA256 == "" {
		return nil
	}
	if f.sha256 != "" && f.sha256 != p.SHA256 {
		return fmt.Errorf("%w: %s has the SHA-256 %s, want %s", ErrChecksum, f.path, f.sha256, p.SHA256)
	}
	f.sha256 = p.SHA256
	return nil
}

// sourceID returns what tells versions of a set of files apart, or "" where
// nothing does.
func sourceID(files []remoteFile) string {
	var lines []string
	for _, f := range files {
		if f.identity() == "" {
			return ""
		}
		lines = append(lines, f.path+" "+f.identity())
	}
	sort.Strings(lines)
	sum := sha256.Sum256([]byte(strings.Join(lines, "\n")))
	return hex.EncodeToString(sum[:])
}

// existing looks at a model that has the name already. The result is not nil if
// there is nothing to do.
func (p *puller) existing(m *Manifest) (*Pulled, error) {
	old, err := stored(p.name)
	if err != nil || old == nil || p.Force && old.Name == p.name {
		return nil, err
	}
	if old.Name != p.name {
		return nil, fmt.Errorf("%w: %q and %q are one name on some systems; choose another name or remove the model first", ErrExists, p.name, old.Name)
	}
	origin, err := readManifest(old.Path)
	if err != nil {
		return nil, err
	}
	if origin == nil || origin.Repository != m.Repository || origin.URL != m.URL || !sameFiles(origin, m) {
		from := "an unknown place"
		if origin != nil {
			from = origin.From()
		}
		return nil, fmt.Errorf("%w: the store has a model %q from %s; choose another name or replace it by force", ErrExists, p.name, from)
	}
	if m.SourceID != "" && origin.SourceID == m.SourceID && origin.Variant == m.Variant {
		return &Pulled{Model: p.model(origin), Manifest: origin, UpToDate: true}, nil
	}
	return nil, nil
}

// sameFiles reports whether two manifests of one repository are about the same
// model in it. Checkpoints may gain and lose files.
func sameFiles(a, b *Manifest) bool {
	if a.Converted || b.Converted {
		return a.Converted == b.Converted
	}
	return strings.Join(a.Files, "\n") == strings.Join(b.Files, "\n")
}

// checkSpace compares what is to be written with the free space, where the
// system tells it.
func (p *puller) checkSpace(s *selection) error {
	var need, total int64
	for _, f := range s.files() {
		n, err := pending(&f, p.target(s, &f))
		if err != nil {
			return err
		}
		need += n
		total += max(f.size, 0)
	}
	p.meter.expect(total)
	if s.checkpoint != nil || len(s.parts) > 1 {
		need += total / 4 // the file that is made from them: at worst the same again, but for most checkpoints far less
	}
	free, err := p.c.tune.freeSpace(p.place.scratch)
	if err != nil {
		p.c.log.Debug("hub: the free space is not known", "error", err)
		return nil
	}
	if uint64(max(need, 0)) > free {
		return fmt.Errorf("%w: %s needs %s in %s, which has %s left; free some, or let %s name a folder on a larger disk",
			ErrNoSpace, p.ref, megabytes(uint64(need)), p.place.dir, megabytes(free), HomeEnv)
	}
	return nil
}

func megabytes(n uint64) string { return fmt.Sprintf("%.1f MB", float64(n)/1e6) }

// target returns where a file is downloaded to.
func (p *puller) target(s *selection, f *remoteFile) string {
	if len(s.parts) == 1 {
		return p.place.file
	}
	if s.parts != nil {
		return filepath.Join(p.place.folder, path.Base(f.path))
	}
	return filepath.Join(p.place.folder, filepath.FromSlash(f.path))
}

// download fetches the files and makes one GGUF file of them, whose path it
// returns and which it describes in the manifest.
func (p *puller) download(ctx context.Context, s *selection, m *Manifest) (string, error) {
	m.Verified = VerifiedChecksum
	for _, f := range s.files() {
		switch {
		case f.sha256 != "" || f.blob != "":
		case f.size >= 0 && m.Verified == VerifiedChecksum:
			m.Verified = VerifiedSize
		case f.size < 0:
			m.Verified = VerifiedFormat
		}
	}
	if len(s.parts) == 1 {
		f := &s.parts[0]
		done, err := p.c.fetch(ctx, f, p.place.file, p.meter)
		if err != nil {
			return "", err
		}
		m.SHA256, m.Size = done.sha256, done.size
		return p.place.file, p.checkModel(p.place.file, f.url)
	}
	if err := os.MkdirAll(p.place.folder, 0o777); err != nil {
		return "", writeError(p.place.dir, err)
	}
	if err := p.fetchAll(ctx, s); err != nil {
		return "", err
	}
	out, err := p.place.make(p.name)
	if err != nil {
		return "", err
	}
	if s.parts != nil {
		f, err := gguf.Open(p.target(s, &s.parts[0]))
		if err != nil {
			return "", fmt.Errorf("%w: %w", ErrNotModel, err)
		}
		err = gguf.Repair(f, out)
		f.Close()
		if err != nil {
			return "", err
		}
	} else if err := p.Convert(ctx, p.place.folder, out); err != nil {
		err = fmt.Errorf("converting %s, whose files stay in %s: %w", p.ref, p.place.folder, err)
		return "", errors.Join(err, removeAll(p.place.made))
	}
	if err := p.checkModel(out, nil); err != nil {
		return "", err
	}
	return out, p.sum(ctx, out, m)
}

// checkModel refuses, and removes, a file that is not in the GGUF format.
func (p *puller) checkModel(file string, from *url.URL) error {
	f, err := gguf.Open(file)
	if err == nil {
		return f.Close()
	}
	err = fmt.Errorf("%w: %w", ErrNotModel, err)
	if from != nil {
		err = fmt.Errorf("%w (from %s)", err, show(from))
	}
	return errors.Join(err, removeAll(file))
}

// sum notes size and checksum of a file in the manifest.
func (p *puller) sum(ctx context.Context, file string, m *Manifest) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	done, err := verify(ctx, &remoteFile{path: filepath.Base(file), size: -1}, f, info.Size(), p.meter)
	if err != nil {
		return err
	}
	m.SHA256, m.Size = done.sha256, done.size
	return nil
}
