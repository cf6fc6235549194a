package hub

import (
	"encoding/json"
	"os"
)

// Suffixes of the files of a download under way.
const (
	partSuffix  = ".part"
	stateSuffix = ".part.json"
)

// stateVersion is raised when the meaning of the state file changes.
const stateVersion = 1

// maxSegments bounds the segments of one file, and with them its state file.
const maxSegments = 256

// state is what a state file says about the part file beside it.
type state struct {
	Version  int       `json:"version"`
	Source   string    `json:"source"`   // for people
	Identity string    `json:"identity"` // which version of the file this is
	Size     int64     `json:"size"`     // bytes of the whole file
	Segments []segment `json:"segments"` // that make up the file, in order
}

// segment is a stretch of the file that one request asks for: its first byte,
// the one after its last, and how many bytes from its beginning are on disk. The
// end is -1 where the size is unknown.
type segment struct{ start, end, done int64 }

func (s segment) MarshalJSON() ([]byte, error) { return json.Marshal([3]int64{s.start, s.end, s.done}) }

func (s *segment) UnmarshalJSON(data []byte) error {
	var v [3]int64
	if err := json.Unmarshal(data, &v); err != nil {
		return err
	}
	*s = segment{v[0], v[1], v[2]}
	return nil
}

// newState divides a file into segments of about the given size.
func newState(f *remoteFile, size int64) state {
	s := state{Version: stateVersion, Source: show(f.url), Identity: f.identity(), Size: f.size}
	if f.size < 0 || f.whole {
		s.Segments = []segment{{0, f.size, 0}}
		return s
	}
	size = max(size, (f.size+maxSegments-1)/maxSegments)
	for start := int64(0); start < f.size; start += size {
		s.Segments = append(s.Segments, segment{start, min(start+size, f.size), 0})
	}
	return s
}

// done returns how many bytes are on disk.
func (s *state) done() int64 {
	var n int64
	for _, g := range s.Segments {
		n += g.done
	}
	return n
}

// loadState reads the state of a download of f to path. The result is nil where
// there is nothing that can be continued.
func loadState(f *remoteFile, path string) (*state, error) {
	data, err := readRecord(path + stateSuffix)
	if data == nil || err != nil {
		return nil, err
	}
	s := &state{}
	if err := json.Unmarshal(data, s); err != nil {
		return nil, nil // not written by this program, or damaged: begin anew
	}
	part, err := os.Stat(path + partSuffix)
	if err != nil || !s.fits(f, part.Size()) {
		return nil, nil
	}
	return s, nil
}

// fits reports whether a state belongs to this version of the file, makes sense,
// and does not promise more than the part file holds.
func (s *state) fits(f *remoteFile, partSize int64) bool {
	if s.Version != stateVersion || s.Identity == "" || s.Identity != f.identity() || s.Size != f.size || f.size < 0 ||
		len(s.Segments) > maxSegments+1 || f.whole && len(s.Segments) > 1 {
		return false
	}
	next := int64(0)
	for _, g := range s.Segments {
		if g.start != next || g.end <= g.start || g.done < 0 || g.done > g.end-g.start || g.done > 0 && g.start+g.done > partSize {
			return false
		}
		next = g.end
	}
	return next == s.Size
}

// pending returns how many bytes a download of f to path has still to write.
func pending(f *remoteFile, path string) (int64, error) {
	if info, err := os.Stat(path); err == nil && info.Size() == f.size {
		return 0, nil
	}
	s, err := loadState(f, path)
	if err != nil || s == nil {
		return max(f.size, 0), err
	}
	return s.Size - s.done(), nil
}
