package main

import (
	"errors"
	"os"

	"trit/internal/atomicfile"
)

// An outputFile is a file that a command writes: there as a whole or not at all, except
// where the path names a pipe or a device.
type outputFile struct {
	*os.File
	whole  *atomicfile.File // what File belongs to, nil if it is written in place
	remove bool             // after a failed write: it is no device
	failed error            // the first write that failed
}

// createOutput begins a file that gets its name when it is complete.
func createOutput(path string) (*outputFile, error) {
	if isDevice(path) {
		return createStream(path)
	}
	f, err := atomicfile.Create(path, 0o666)
	if err != nil {
		return nil, err
	}
	return &outputFile{File: f.File, whole: f}, nil
}

// createStream begins a file that others may read while it grows, such as a trace,
// which is complete as well when the command is interrupted.
func createStream(path string) (*outputFile, error) {
	device := isDevice(path)
	f, err := os.Create(path)
	return &outputFile{File: f, remove: !device}, err
}

func isDevice(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.Mode().IsRegular()
}

// Write remembers that it failed.
func (o *outputFile) Write(p []byte) (int, error) {
	n, err := o.File.Write(p)
	if o.failed == nil {
		o.failed = err
	}
	return n, err
}

// close ends the output. After an error, of what wrote it or of a write, the file is not
// there.
func (o *outputFile) close(err error) error {
	if err == nil {
		err = o.failed
	}
	switch {
	case o.whole != nil && err != nil:
		return errors.Join(err, o.whole.Abort())
	case o.whole != nil:
		return o.whole.Commit()
	}
	if e := o.File.Close(); err == nil {
		err = e
	}
	if err != nil && o.remove {
		err = errors.Join(err, os.Remove(o.Name()))
	}
	return err
}
