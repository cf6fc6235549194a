package gguf

import (
	"fmt"
	"math"
	"path/filepath"
	"regexp"
	"strconv"
)

// Keys that a split model carries in each of its parts.
const (
	keySplitNo      = "split.no"
	keySplitCount   = "split.count"
	keySplitTensors = "split.tensors.count"
)

// partName matches the name of a part's file.
var partName = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.gguf$`)

// ParsePartName takes the name of a part of a split model apart: STEM-NO-of-COUNT.gguf,
// with numbers of five digits from 1. It returns false for any other name.
func ParsePartName(name string) (stem string, no, count int, ok bool) {
	m := partName.FindStringSubmatch(name)
	if m == nil {
		return "", 0, 0, false
	}
	no, _ = strconv.Atoi(m[2]) // five digits are a number
	count, _ = strconv.Atoi(m[3])
	return m[1], no, count, true
}

// split returns which part the file is, from 0, of how many; 0 of 1 if the
// file says nothing about it.
func (f *File) split() (no, count uint64, err error) {
	if !f.Metadata.Has(keySplitCount) {
		return 0, 1, nil
	}
	if count, err = f.splitNumber(keySplitCount); err != nil {
		return 0, 0, err
	}
	if count <= 1 {
		return 0, 1, nil
	}
	if no, err = f.splitNumber(keySplitNo); err != nil {
		return 0, 0, err
	}
	if no >= count || count > math.MaxUint16 {
		return 0, 0, fmt.Errorf("%w: %s is %d and %s %d, want a part number below the count, at most %d", ErrCorrupt, keySplitNo, no, keySplitCount, count, math.MaxUint16)
	}
	return no, count, nil
}

func (f *File) splitNumber(key string) (uint64, error) {
	v, ok := f.Metadata.Get(key)
	if !ok {
		return 0, fmt.Errorf("%w: %s is missing, although the file is a part of a split model", ErrCorrupt, key)
	}
	n, ok := v.asUint64()
	if !ok {
		return 0, fmt.Errorf("%w: %s is %s %v, want a uint16", ErrCorrupt, key, v.TypeName(), v)
	}
	return n, nil
}

// checkFirst refuses a later part that is opened on its own: what its tensors
// mean depends on the first part's metadata.
func (f *File) checkFirst() error {
	no, count, err := f.split()
	if err != nil || no == 0 {
		return err
	}
	hint := "its first part"
	folder, base := filepath.Split(f.Path)
	if stem, _, _, ok := ParsePartName(base); ok {
		hint += ", " + filepath.Join(folder, partPath(stem, 0, count))
	}
	return fmt.Errorf("%w: this is part %d of %d of a split model; open %s", ErrUnsupported, no+1, count, hint)
}

// partPath is the name of part no (from 0) of count.
func partPath(stem string, no, count uint64) string {
	return fmt.Sprintf("%s-%05d-of-%05d.gguf", stem, no+1, count)
}

// openParts finds the other parts of a split model beside its first.
func openParts(first *File) (*File, error) {
	fail := func(err error) (*File, error) {
		first.Close()
		return nil, inFile(first.Path, err)
	}
	no, count, err := first.split() // no is 0, or parse had refused
	if err != nil {
		return fail(err)
	}
	folder, base := filepath.Split(first.Path)
	stem, named, of, ok := ParsePartName(base)
	if !ok {
		return fail(fmt.Errorf("%w: part %d of %d of a split model, but its name does not end in %q, by which the other parts are found; rename it or name all parts", ErrUnsupported, no+1, count, partPath("", no, count)))
	}
	if named != 1 || uint64(of) != count {
		return fail(fmt.Errorf("%w: the name says part %05d of %05d, but its metadata says 1 of %d; rename it", ErrCorrupt, named, of, count))
	}
	paths := make([]string, 0, min(count, 64))
	for i := range count {
		paths = append(paths, filepath.Join(folder, partPath(stem, i, count)))
	}
	return join(first, paths)
}

// join opens the parts after the first and makes one File of all.
func join(first *File, paths []string) (_ *File, err error) {
	all := &File{
		Path: first.Path, Version: first.Version, BigEndian: first.BigEndian, Alignment: first.Alignment,
		Metadata: first.Metadata, DataOffset: first.DataOffset, names: make(map[string]*Tensor),
	}
	all.Parts = append(all.Parts, first)
	defer func() {
		if err != nil {
			all.Close()
		}
	}()
	for i, path := range paths {
		part := first
		if i > 0 {
			if part, err = openOne(path, first); err != nil {
				return nil, fmt.Errorf("opening part %d of %d of %s: %w", i+1, len(paths), first.Path, err)
			}
			all.Parts = append(all.Parts, part)
		}
		if err = all.add(part, i, len(paths)); err != nil {
			return nil, fmt.Errorf("opening part %d of %d of %s: %w", i+1, len(paths), first.Path, inFile(path, err))
		}
	}
	if v, ok := first.Metadata.Get(keySplitTensors); ok {
		if n, ok := v.asUint64(); !ok || n != uint64(len(all.Tensors)) {
			return nil, inFile(first.Path, fmt.Errorf("%w: %s is %v, but the %d parts have %d tensors together; the parts do not belong together", ErrCorrupt, keySplitTensors, v, len(paths), len(all.Tensors)))
		}
	}
	return all, nil
}

// add checks that part belongs at place i of n and takes in its tensors.
func (f *File) add(part *File, i, n int) error {
	no, count, err := part.split()
	if err != nil {
		return err
	}
	if no != uint64(i) || count != uint64(n) {
		return fmt.Errorf("%w: expected part %d of %d, but the file says it is part %d of %d", ErrCorrupt, i+1, n, no+1, count)
	}
	if len(f.Tensors)+len(part.Tensors) > maxTensors {
		return fmt.Errorf("%w: the parts have more than %d tensors together", ErrUnsupported, maxTensors)
	}
	for _, t := range part.Tensors {
		if other, ok := f.names[t.Name]; ok {
			return fmt.Errorf("%w: tensor %s is also in %s", ErrDuplicate, quote(t.Name), other.Path())
		}
		f.names[t.Name] = t
	}
	f.Tensors = append(f.Tensors, part.Tensors...)
	f.Size += part.Size
	return nil
}
