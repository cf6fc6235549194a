package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"
)

// lock is a claim to a model's name in the store. The operating system drops it
// when the process ends, however it ends.
type lock struct {
	file *os.File
	path string
}

// owner is what a lock file says about the process that holds the lock.
type owner struct {
	PID   int       `json:"pid"`
	Host  string    `json:"host,omitempty"`
	Since time.Time `json:"since"`
}

// errHeld is returned by tryLock when another process holds the lock.
var errHeld = errors.New("held by another process")

// acquire takes the lock at path, or returns an error that wraps ErrLocked and
// says who has it.
func acquire(path, name string) (*lock, error) {
	for range 10 {
		f, err := openLock(path)
		if errors.Is(err, errHeld) {
			return nil, lockedError(path, name)
		}
		if err != nil {
			return nil, fmt.Errorf("hub: the lock of %s: %w", name, err)
		}
		if err := tryLock(f); err != nil {
			f.Close()
			if errors.Is(err, errHeld) {
				return nil, lockedError(path, name)
			}
			return nil, fmt.Errorf("hub: the lock %s: %w", path, err)
		}
		// The holder before may have removed the file after it was opened here: then
		// this lock is on a file without a name and excludes nobody.
		mine, err := f.Stat()
		if err == nil {
			if current, e := os.Stat(path); e == nil && os.SameFile(mine, current) {
				l := &lock{f, path}
				if err := l.sign(); err != nil {
					return nil, errors.Join(fmt.Errorf("hub: the lock %s: %w", path, err), l.release())
				}
				return l, nil
			}
		}
		f.Close()
	}
	return nil, fmt.Errorf("%w: %s: its lock file %s keeps changing hands", ErrLocked, name, path)
}

// sign writes who holds the lock, for the messages of others.
func (l *lock) sign() error {
	host, _ := os.Hostname() // only for a message
	data, err := json.Marshal(owner{PID: os.Getpid(), Host: host, Since: time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	if err := l.file.Truncate(0); err != nil {
		return err
	}
	_, err = l.file.WriteAt(data, 0)
	return err
}

// lockedError says who holds a lock.
func lockedError(path, name string) error {
	who := "another process"
	if f, err := os.Open(path); err == nil {
		defer f.Close()
		var o owner
		if data, err := io.ReadAll(io.LimitReader(f, 4096)); err == nil && json.Unmarshal(data, &o) == nil && o.PID > 0 {
			who = fmt.Sprintf("process %d", o.PID)
			if host, err := os.Hostname(); err == nil && o.Host != "" && o.Host != host {
				who += " on " + clean(o.Host)
			}
			who += " since " + o.Since.Local().Format(time.DateTime)
		}
	}
	return fmt.Errorf("%w: %s is at work on %q; wait for it to finish, or stop it and try again%s", ErrLocked, who, name, staleHint(path))
}
