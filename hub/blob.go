package hub

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"trit/gguf"
	"trit/internal/atomicfile"
)

// A blob is a file that was sent to become a model: a GGUF file, by its SHA-256. It waits in the store's folder of
// unfinished things, under a name that no model has.

// blobAge is how long a blob waits before another one takes it for forgotten.
const blobAge = 24 * time.Hour

// ggufMagic is what GGUF files begin with.
const ggufMagic = "GGUF"

// blobReserve is what a blob leaves free on the disk, in bytes.
const blobReserve = 64 << 20

// blobPath returns where a blob is. The digest is as in Ollama's API: sha256: and 64 hexadecimal digits.
func blobPath(digest string) (path, sum string, err error) {
	sum = strings.TrimPrefix(strings.Replace(digest, "sha256-", "sha256:", 1), "sha256:")
	if raw, err := hex.DecodeString(sum); err != nil || len(raw) != sha256.Size || strings.ToLower(sum) != sum {
		return "", "", fmt.Errorf("%w: the digest %.80q; want sha256: and 64 hexadecimal digits", ErrName, digest)
	}
	dir, err := storeDir()
	if err != nil {
		return "", "", err
	}
	return filepath.Join(dir, ".partial", "blob~"+sum+modelSuffix), sum, nil
}

// HasBlob reports whether a blob has been sent, or a model of the store has that digest.
func HasBlob(digest string) (bool, error) {
	path, sum, err := blobPath(digest)
	if err != nil {
		return false, err
	}
	if _, err := os.Stat(path); err == nil {
		return true, nil
	}
	m, err := withSum(sum)
	return m != nil, err
}

// withSum finds a model of the store by the checksum of its weights.
func withSum(sum string) (*Model, error) {
	models, err := fromStore()
	if err != nil {
		return nil, err
	}
	for _, m := range models {
		if origin, err := readManifest(m.Path); err == nil && origin != nil && origin.SHA256 == sum {
			return &m, nil
		}
	}
	return nil, nil
}

// PutBlob keeps what r holds, which must have the digest and be a GGUF file, as a blob. What does not come whole leaves
// nothing. Errors wrap [ErrName], [ErrChecksum], [ErrNotModel] or [ErrNoSpace], or are those of r.
func PutBlob(ctx context.Context, digest string, r io.Reader) error {
	path, sum, err := blobPath(digest)
	if err != nil {
		return err
	}
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return writeError(dir, err)
	}
	if err := forgetBlobs(dir); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, "blob~new*")
	if err != nil {
		return writeError(dir, err)
	}
	got, err := fillBlob(ctx, f, r)
	if err == nil && got != sum {
		err = fmt.Errorf("%w: what came has the SHA-256 %s, announced was %s; send it again", ErrChecksum, got, sum)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, removeAll(f.Name()))
	}
	return nil
}

// fillBlob writes what comes into a file, as long as it may be a model and there is room, and returns its SHA-256.
func fillBlob(ctx context.Context, f *os.File, r io.Reader) (sum string, err error) {
	magic := make([]byte, len(ggufMagic))
	if n, err := io.ReadFull(r, magic); err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return "", err
	} else if string(magic[:n]) != ggufMagic {
		return "", fmt.Errorf("%w: it begins with %q; want a GGUF file; convert other formats first",
			ErrNotModel, magic[:n])
	}
	hash := sha256.New()
	out := io.MultiWriter(f, hash)
	buffer := make([]byte, 1<<20)
	if _, err := out.Write(magic); err != nil {
		return "", writeError(f.Name(), err)
	}
	for {
		if err := ctx.Err(); err != nil {
			return "", fmt.Errorf("hub: stopped: %w", context.Cause(ctx))
		}
		n, err := io.ReadFull(r, buffer)
		end := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !end {
			return "", err
		}
		if free, err := atomicfile.FreeSpace(filepath.Dir(f.Name())); err == nil && free < uint64(n)+blobReserve {
			return "", fmt.Errorf("%w: %s has %d bytes left, of which %d are kept free", ErrNoSpace, filepath.Dir(f.Name()), free,
				blobReserve)
		}
		if _, err := out.Write(buffer[:n]); err != nil {
			return "", writeError(f.Name(), err)
		}
		if end {
			return hex.EncodeToString(hash.Sum(nil)), nil
		}
	}
}

// forgetBlobs removes blobs of which nobody has made a model.
func forgetBlobs(dir string) error {
	old, err := filepath.Glob(filepath.Join(dir, "blob~*"))
	if err != nil {
		return fmt.Errorf("hub: %w", err)
	}
	for _, path := range old {
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > blobAge {
			if err := removeAll(path); err != nil {
				return err
			}
		}
	}
	return nil
}

// CreateFromBlob is [Create] of a blob, which becomes the weights of the new model. Of the model of the store that
// has that digest it is an ordinary Create. A model of the name is replaced.
func CreateFromBlob(d Derived, digest string) (*Model, error) {
	path, sum, err := blobPath(digest)
	if err != nil {
		return nil, err
	}
	if err := checkName(d.Name); err != nil {
		return nil, err
	}
	if err := d.complete(); err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		twin, err := withSum(sum)
		if err == nil && twin == nil {
			err = fmt.Errorf("%w: there is no blob %s; send it first", ErrNotFound, digest)
		}
		if err != nil {
			return nil, err
		}
		d.From = twin.Name
		return Create(d)
	}
	if err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	f, err := gguf.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: the blob %s: %w", ErrNotModel, digest, err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("hub: %w", err)
	}
	if err := installBlob(d.Name, path, &Manifest{Name: d.Name, Copied: "a file that was sent", SHA256: sum, Size: info.Size(),
		Verified: VerifiedChecksum, Time: time.Now().UTC().Truncate(time.Second)}); err != nil {
		return nil, err
	}
	d.From = d.Name
	if d.empty() {
		return Resolve(d.Name)
	}
	return Create(d)
}

// installBlob gives a blob the name of a model.
func installBlob(name, path string, m *Manifest) error {
	p, err := placeOf(name)
	if err != nil {
		return err
	}
	l, err := p.claim(name)
	if err != nil {
		return err
	}
	old, err := stored(name)
	if err == nil && old != nil && old.Name != name {
		err = fmt.Errorf("%w: %s is a model of the store in another case", ErrExists, old.Name)
	}
	if err == nil {
		err = p.install(path, m)
	}
	return errors.Join(err, l.release())
}

// empty reports that d says nothing beside what the weights are.
func (d *Derived) empty() bool {
	return d.System == "" && d.Template == "" && len(d.Parameters)+len(d.Messages)+len(d.License) == 0
}
