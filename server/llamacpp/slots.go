package llamacpp

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"trit/internal/cache"
	"trit/internal/inside"
	"trit/internal/kernel"
	"trit/server/core"
)

// slotRequest is the body of POST /slots/{id}.
type slotRequest struct {
	Model    string `json:"model"`
	Filename string `json:"filename"`
}

// slotSaved and slotRestored are the answers to action=save and action=restore. What is counted
// are tokens and bytes.
type slotSaved struct {
	ID      int         `json:"id_slot"`
	File    string      `json:"filename"`
	Saved   int         `json:"n_saved"`
	Written int64       `json:"n_written"`
	Timings slotTimings `json:"timings"`
}

type slotRestored struct {
	ID       int         `json:"id_slot"`
	File     string      `json:"filename"`
	Restored int         `json:"n_restored"`
	Read     int64       `json:"n_read"`
	Timings  slotTimings `json:"timings"`
}

// slotTimings are in milliseconds.
type slotTimings struct {
	Save    float64 `json:"save_ms,omitempty"`
	Restore float64 `json:"restore_ms,omitempty"`
}

// slotErased is the answer to action=erase.
type slotErased struct {
	ID     int `json:"id_slot"`
	Erased int `json:"n_erased"`
}

// slotAction saves, restores or erases what a model has of past prompts. They are the same for
// all of its places, so that the number of one only has to be right.
func (s *api) slotAction(w http.ResponseWriter, r *http.Request) error {
	if s.Options.SlotSavePath == "" {
		return &core.Error{Status: http.StatusNotImplemented, Code: "unsupported_endpoint",
			Message: fmt.Sprintf("this server does not save slots; its operator can have it with %s FOLDER",
				s.Options.OptionName("slot_save_path"))}
	}
	var q slotRequest
	if r.ContentLength != 0 {
		if err := core.ReadJSON(r, &q); err != nil {
			return err
		}
	}
	l, err := s.Models.Acquire(r.Context(), q.Model)
	if err != nil {
		return err
	}
	defer l.Release()
	id, err := strconv.Atoi(r.PathValue("id"))
	if n := len(l.Slots()); err != nil || id < 0 || id >= n {
		return core.BadRequest("id_slot", "there is no slot %.40q; want 0 to %d", r.PathValue("id"), n-1)
	}
	scheduler := inside.Of(l.Model).Scheduler
	action := r.URL.Query().Get("action")
	if action == "erase" {
		stats, err := scheduler.PrefixStats()
		if err == nil {
			err = scheduler.ForgetPrefixes()
		}
		if err != nil {
			return err
		}
		return core.WriteJSON(w, http.StatusOK, slotErased{ID: id, Erased: stats.Pages * kernel.PageTokens})
	}
	path, err := s.slotFile(q.Filename)
	if err != nil {
		return err
	}
	start := time.Now()
	size := func() int64 {
		if info, err := os.Stat(path); err == nil {
			return info.Size()
		}
		return 0 // it has been deleted meanwhile
	}
	switch action {
	case "save":
		pages, err := scheduler.SavePrefixes(path)
		if err != nil {
			return err
		}
		return core.WriteJSON(w, http.StatusOK, slotSaved{ID: id, File: q.Filename, Saved: pages * kernel.PageTokens,
			Written: size(), Timings: slotTimings{Save: milliseconds(time.Since(start))}})
	case "restore":
		pages, err := scheduler.LoadPrefixes(path)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return core.BadRequest("filename", "there is no file %q of saved prompts", q.Filename)
		case errors.Is(err, cache.ErrPrefixFile):
			return core.BadRequest("filename", "the file %q is not one of prompts of this model as it is opened: %v", q.Filename,
				strings.ReplaceAll(err.Error(), path, q.Filename))
		case err != nil:
			return err
		}
		return core.WriteJSON(w, http.StatusOK, slotRestored{ID: id, File: q.Filename, Restored: pages * kernel.PageTokens,
			Read: size(), Timings: slotTimings{Restore: milliseconds(time.Since(start))}})
	}
	return core.BadRequest("action", "action is %.40q; want save, restore or erase", action)
}

// slotFile returns the path of a file in the folder of saved slots.
func (s *api) slotFile(name string) (string, error) {
	if name == "" || len(name) > 255 || name[0] == '.' || strings.ContainsAny(name, "/\\:*?\"<>|\x00") || !filepath.IsLocal(name) {
		return "", core.BadRequest("filename", "filename is %.60q; want the name of a file without a folder", name)
	}
	return filepath.Join(s.Options.SlotSavePath, name), nil
}
