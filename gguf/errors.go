package gguf

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"

	"trit/internal/mmap"
)

// Sentinel errors. Every error of this package wraps one of them, an error of
// the operating system, or an error of the caller's reader or writer.
var (
	// ErrMagic reports bytes that are not a GGUF file. The message says what
	// they look like instead, where that can be told.
	ErrMagic = errors.New("not a GGUF file")
	// ErrVersion reports a GGUF version other than 1, 2 and 3.
	ErrVersion = errors.New("unsupported GGUF version")
	// ErrTruncated reports a file that ends before something its header
	// promises: almost always an incomplete download or copy.
	ErrTruncated = errors.New("file is truncated")
	// ErrCorrupt reports content that no writer produces and that cannot be
	// read safely.
	ErrCorrupt = errors.New("file is corrupt")
	// ErrDuplicate reports two metadata keys, or two tensors, of one name.
	ErrDuplicate = errors.New("duplicate name")
	// ErrUnsupported reports something valid that this package does not handle:
	// an unknown tensor type, a part of a split file on its own.
	ErrUnsupported = errors.New("unsupported")
	// ErrMissing reports a metadata key that is not there.
	ErrMissing = errors.New("missing metadata key")
	// ErrType reports a metadata value of another type than the one asked for,
	// or a number that does not fit it.
	ErrType = errors.New("wrong metadata type")
	// ErrChanged reports a file that was written to while it was open.
	ErrChanged = mmap.ErrChanged
	// ErrInvalid reports an argument that cannot be written to a GGUF file.
	ErrInvalid = errors.New("invalid argument")
	// ErrSize reports a tensor whose writer produced more or fewer bytes than
	// its type and dimensions say.
	ErrSize = errors.New("wrong number of tensor bytes")
)

// quote quotes a name from a file for an error message, shortening what a
// hostile file could make arbitrarily long.
func quote(name string) string {
	const limit = 80
	if len(name) <= limit {
		return strconv.Quote(name)
	}
	return fmt.Sprintf("%s… (%d bytes)", strconv.Quote(name[:limit]), len(name))
}

// notGGUF explains the first bytes of something that lacks the GGUF magic.
func notGGUF(head []byte) error {
	hint := guess(head)
	if len(head) > 4 {
		head = head[:4]
	}
	if hint == "" {
		return fmt.Errorf("%w: it begins with the bytes % x, want 47 47 55 46 (\"GGUF\")", ErrMagic, head)
	}
	return fmt.Errorf("%w: it begins with the bytes % x; %s", ErrMagic, head, hint)
}

// guess names the kind of file that begins with head and says what to do about
// it, or returns "".
func guess(head []byte) string {
	for _, g := range []struct{ prefix, hint string }{
		{"FUGG", "the magic is byte-swapped: the whole file was swapped in words of four bytes; copy it again without conversion"},
		{"version https://git-lfs", "this is a Git LFS pointer, not the model: run `git lfs pull` or download the file itself"},
		{"lmgg", "this is an unversioned GGML file from before GGUF: convert it with an old llama.cpp or download a GGUF"},
		{"fmgg", "this is a GGMF file from before GGUF: convert it with an old llama.cpp or download a GGUF"},
		{"tjgg", "this is a GGJT file from before GGUF: convert it with an old llama.cpp or download a GGUF"},
		{"algg", "this is a GGML LoRA adapter from before GGUF"},
		{"PK\x03\x04", "this is a ZIP archive, probably a PyTorch checkpoint (.bin, .pt, .pth): convert the model to GGUF"},
		{"\x80\x02", "this is a Python pickle, probably a PyTorch checkpoint: convert the model to GGUF"},
		{"\x1f\x8b", "this is gzip-compressed: decompress it first"},
		{"\x28\xb5\x2f\xfd", "this is Zstandard-compressed: decompress it first"},
		{"\xfd7zXZ\x00", "this is xz-compressed: decompress it first"},
		{"BZh", "this is bzip2-compressed: decompress it first"},
		{"7z\xbc\xaf\x27\x1c", "this is a 7-Zip archive: extract it first"},
		{"\x89HDF", "this is an HDF5 file: convert the model to GGUF"},
		{"\x93NUMPY", "this is a NumPy array"},
		{"\x7fELF", "this is an executable"},
	} {
		if bytes.HasPrefix(head, []byte(g.prefix)) {
			return g.hint
		}
	}
	if len(head) > 8 && head[8] == '{' && head[6] == 0 && head[7] == 0 {
		return "this looks like a safetensors file: convert the model to GGUF"
	}
	text := bytes.TrimLeft(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")), " \t\r\n")
	switch {
	case len(text) > 0 && text[0] == '<':
		return "this is a web page (HTML or XML), probably an error or login page saved in place of the download: download it again"
	case len(text) > 0 && text[0] == '{':
		return "this is JSON, probably an error message saved in place of the download, or a tokenizer or configuration file"
	case len(head) >= 16 && len(bytes.Trim(head, "\x00")) == 0:
		return "it is all zeros: a download that was allocated but not filled; download it again"
	}
	return ""
}
