package atomicfile

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Folder is a folder that is being filled.
type Folder struct {
	Path string // where it is until it is complete
	path string
	lock *os.File
}

// CreateFolder begins a folder that Commit will call path. An empty folder may have
// that name.
func CreateFolder(path string) (*Folder, error) {
	path = filepath.Clean(path)
	sweep(path)
	var lock *os.File
	temp, err := withFreeName(path, func(name string) (err error) {
		if err = os.Mkdir(name, 0o777); err != nil {
			return err
		}
		lock, err = lockFolder(name)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Folder{Path: temp, path: path, lock: lock}, nil
}

// Commit gives the folder its name. After an error nothing is left of it.
func (f *Folder) Commit() error {
	err := os.Remove(f.path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		err = os.Rename(f.Path, f.path)
	}
	if err != nil {
		return errors.Join(err, f.Abort())
	}
	f.Path = ""
	return errors.Join(f.unlock(), SyncFolder(filepath.Dir(f.path)))
}

// Abort removes the folder. After Commit it does nothing.
func (f *Folder) Abort() error {
	if f.Path == "" {
		return nil
	}
	err := errors.Join(os.RemoveAll(f.Path), f.unlock())
	f.Path = ""
	return err
}

func (f *Folder) unlock() error {
	if f.lock == nil {
		return nil
	}
	return f.lock.Close()
}
