package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"aead.dev/minisign"
)

// checksumFile lists the checksums of all other files.
const checksumFile = "SHA256SUMS"

// checksums writes the checksums of all results in the form that sha256sum reads.
func (r *release) checksums(context.Context) error {
	var b bytes.Buffer
	for _, name := range slices.Sorted(slices.Values(r.files)) {
		sum, err := r.sum(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(&b, "%s  %s\n", sum, name)
	}
	return r.write(checksumFile, b.Bytes())
}

// sum is the SHA-256 of a result, in hexadecimal digits.
func (r *release) sum(name string) (string, error) {
	data, err := os.ReadFile(filepath.Join(r.out, name))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", sha256.Sum256(data)), nil
}

// sign signs the checksums, which stand for everything.
func (r *release) sign(context.Context) error {
	if r.key == "" {
		fmt.Println("not signed: no -key was given")
		return nil
	}
	key, err := r.privateKey()
	if err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(r.out, checksumFile))
	if err != nil {
		return err
	}
	// The library's own comment has the time of signing, which would make each signature another one.
	return r.write(checksumFile+".minisig", minisign.SignWithComments(key, sums, "trit "+r.version, "signature of Trit "+r.version))
}

// privateKey reads the key of the signature, which may stand under a password.
func (r *release) privateKey() (key minisign.PrivateKey, err error) {
	data, err := os.ReadFile(r.key)
	if err != nil {
		return key, err
	}
	if minisign.IsEncrypted(data) {
		key, err = minisign.DecryptKey(os.Getenv("MINISIGN_PASSWORD"), data)
	} else {
		err = key.UnmarshalText(data)
	}
	if err != nil {
		return key, fmt.Errorf("-key %s, with the password of MINISIGN_PASSWORD: %w", r.key, err)
	}
	return key, nil
}
