package gguf

import (
	"cmp"
	"fmt"
	"io"
	"slices"
)

// ProblemCode says what kind of a problem a [Problem] is.
type ProblemCode string

// The kinds of problems.
const (
	ProblemVersion       ProblemCode = "version"         // older than version 3
	ProblemByteOrder     ProblemCode = "byte-order"      // big-endian
	ProblemSplit         ProblemCode = "split"           // in several files
	ProblemAlignmentType ProblemCode = "alignment-type"  // general.alignment is an integer other than uint32
	ProblemBool          ProblemCode = "bool"            // bools that are neither 0 nor 1
	ProblemMisaligned    ProblemCode = "misaligned"      // a tensor off the alignment
	ProblemGap           ProblemCode = "gap"             // unused bytes before a tensor
	ProblemOrder         ProblemCode = "order"           // tensors stored in another order than listed
	ProblemTrailing      ProblemCode = "trailing-bytes"  // bytes after the end of the data
	ProblemPadding       ProblemCode = "missing-padding" // the last tensor is not padded
	ProblemArchitecture  ProblemCode = "no-architecture" // general.architecture missing or not a string
)

// Problem is a deviation from what a current writer produces that does not
// keep a file from being read.
type Problem struct {
	Code       ProblemCode
	Message    string
	Tensor     string // the tensor concerned, or ""
	Path       string // the file concerned, "" if it has none
	Repairable bool   // whether [Repair] removes it
}

// String returns the problem's code and message.
func (p Problem) String() string { return string(p.Code) + ": " + p.Message }

// Problems lists the deviations in the file's structure, in the order of the
// file. It looks at the header only, not at the tensors' bytes. An empty list
// means that the file is as [WriteFile] would write it.
func (f *File) Problems() []Problem {
	var list []Problem
	add := func(code ProblemCode, tensor, format string, args ...any) {
		list = append(list, Problem{Code: code, Tensor: tensor, Path: f.Path, Message: fmt.Sprintf(format, args...), Repairable: code != ProblemArchitecture})
	}
	if len(f.Parts) > 0 {
		add(ProblemSplit, "", "the model is split over %d files", len(f.Parts))
	}
	if v, ok := f.Metadata.Get(keyArchitecture); !ok {
		add(ProblemArchitecture, "", "%s is missing", keyArchitecture)
	} else if v.typ != ValueString {
		add(ProblemArchitecture, "", "%s is %s %v, want a string", keyArchitecture, v.TypeName(), v)
	}
	if len(f.Parts) == 0 {
		f.layoutProblems(add)
	}
	for _, part := range f.Parts {
		for _, p := range part.Problems() {
			if p.Code != ProblemArchitecture { // only the first part has metadata
				list = append(list, p)
			}
		}
	}
	return list
}

// layoutProblems examines one file.
func (f *File) layoutProblems(add func(code ProblemCode, tensor, format string, args ...any)) {
	if f.Version < 3 {
		add(ProblemVersion, "", "the file has version %d, current is 3", f.Version)
	}
	if f.BigEndian {
		add(ProblemByteOrder, "", "the file is big-endian")
	}
	if f.found.hasAlignment && f.found.alignmentType != ValueUint32 {
		add(ProblemAlignmentType, "", "%s is a %s, want a uint32", keyAlignment, f.found.alignmentType)
	}
	if n := f.found.oddBools; n > 0 {
		add(ProblemBool, "", "%d bools are neither 0 nor 1; they are read as true", n)
	}

	align := int64(f.Alignment)
	for i := 1; i < len(f.Tensors); i++ {
		if t := f.Tensors[i]; t.Offset < f.Tensors[i-1].Offset {
			add(ProblemOrder, t.Name, "tensor %s is stored before tensor %s, which precedes it in the list", quote(t.Name), quote(f.Tensors[i-1].Name))
			break
		}
	}
	stored := slices.SortedFunc(slices.Values(f.Tensors), func(a, b *Tensor) int { return cmp.Compare(a.Offset, b.Offset) })
	wanted := f.DataOffset // the padded end of what was seen so far
	for _, t := range stored {
		if t.Offset%align != 0 {
			add(ProblemMisaligned, t.Name, "tensor %s begins at offset %d, not a multiple of %d", quote(t.Name), t.Offset, align)
		}
		if t.Offset > wanted {
			add(ProblemGap, t.Name, "%d unused bytes lie before tensor %s at offset %d", t.Offset-wanted, quote(t.Name), t.Offset)
		}
		wanted = alignUp(t.Offset+t.Size, align)
	}
	switch {
	case f.Size > wanted:
		add(ProblemTrailing, "", "%d bytes follow the end of the data at offset %d", f.Size-wanted, wanted)
	case f.Size < wanted && len(stored) > 0:
		last := stored[len(stored)-1].Name
		add(ProblemPadding, last, "the last tensor, %s, is not padded to a multiple of %d: %d bytes are missing", quote(last), align, wanted-f.Size)
	}
}

// Repair writes the content of in to path as one clean little-endian GGUF v3
// file, by [WriteFile]: every key with its value, every tensor with its bytes,
// in their order, aligned and without gaps. Only what described the old
// structure changes: general.alignment becomes a uint32, and the split.* keys
// of a split model go. Meaning is not touched: a wrong hyper-parameter stays.
func Repair(in *File, path string) error {
	meta := in.Metadata.Clone()
	if in.found.hasAlignment || len(in.Parts) > 0 && in.Parts[0].found.hasAlignment {
		if err := meta.Set(keyAlignment, uint32(in.Alignment)); err != nil {
			return err
		}
	}
	if len(in.Parts) > 0 {
		for _, key := range []string{keySplitNo, keySplitCount, keySplitTensors} {
			meta.Delete(key)
		}
	}
	specs := make([]TensorSpec, len(in.Tensors))
	for i, t := range in.Tensors {
		specs[i] = t.Spec()
	}
	return WriteFile(path, meta, specs)
}

// Spec returns a description that writes the tensor as it is, from its file to
// another, and gives its pages back afterwards.
func (t *Tensor) Spec() TensorSpec {
	return TensorSpec{Name: t.Name, Dims: t.Dims, Type: t.Type, Write: func(w io.Writer) error {
		if _, err := io.Copy(w, t.Reader()); err != nil {
			return err
		}
		return t.Release()
	}}
}
