package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"trit/hub"
	"trit/internal/atomicfile"
)

// inputHistory is the file of earlier inputs: one per line, as JSON strings,
// the oldest first.
type inputHistory struct{ path string }

const (
	historyEntries = 1000     // the oldest are forgotten
	historyEntry   = 16 << 10 // bytes; longer inputs are not remembered
	historyFile    = 32 << 20 // bytes; a larger file is not a history
)

// openInputHistory finds the place of the history.
func openInputHistory() (*inputHistory, error) {
	home, err := hub.Home()
	if err != nil {
		return nil, err
	}
	return &inputHistory{filepath.Join(home, "chat_history")}, nil
}

// load returns the inputs. Without a file there are none.
func (h *inputHistory) load() ([]string, error) {
	f, err := os.Open(h.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, historyFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > historyFile {
		return nil, fmt.Errorf("%s has more than %d MiB; remove it", h.path, historyFile>>20)
	}
	var entries []string
	for number, line := range strings.Split(string(data), "\n") {
		if line == "" {
			continue
		}
		var entry string
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			return nil, fmt.Errorf("%s: line %d is not a JSON string; remove the file", h.path, number+1)
		}
		entries = append(entries, entry)
	}
	return entries[max(len(entries)-historyEntries, 0):], nil
}

// add appends an input. The file is read again, because another conversation
// may have added to it.
func (h *inputHistory) add(input string) error {
	if len(input) > historyEntry {
		return nil
	}
	entries, err := h.load()
	if err != nil {
		return err
	}
	entries = append(entries, input)
	var data bytes.Buffer
	enc := json.NewEncoder(&data)
	enc.SetEscapeHTML(false)
	for _, entry := range entries[max(len(entries)-historyEntries, 0):] {
		if err := enc.Encode(entry); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(filepath.Dir(h.path), 0o777); err != nil {
		return err
	}
	return atomicfile.Write(h.path, data.Bytes(), 0o600) // what people say is private
}
