package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"

	"trit/internal/textfile"
	"trit/internal/tui"
)

// editorCommand is the editor of the environment, with a file to edit.
func editorCommand(path string) (*exec.Cmd, error) {
	fallback := "vi"
	if runtime.GOOS == "windows" {
		fallback = "notepad"
	}
	// The variables hold words, as in git and others: "code --wait".
	words := strings.Fields(cmp.Or(os.Getenv("VISUAL"), os.Getenv("EDITOR"), fallback))
	if len(words) == 0 {
		return nil, errors.New("VISUAL and EDITOR are blank; set EDITOR to the name of an editor")
	}
	program, err := exec.LookPath(words[0])
	if err != nil {
		return nil, fmt.Errorf("the editor %s: %w; set EDITOR", words[0], err)
	}
	return exec.Command(program, append(words[1:], path)...), nil
}

// editText prepares an editor for a text, and returns it with what gives the text
// back when it has ended.
func editText(text string) (*exec.Cmd, func() (string, error), error) {
	dir, err := os.MkdirTemp("", "trit-chat-") // a folder of its own: editors put files beside
	if err != nil {
		return nil, nil, err
	}
	remove := func() error { return os.RemoveAll(dir) }
	path := filepath.Join(dir, "message.md")
	err = os.WriteFile(path, []byte(text), 0o600)
	var command *exec.Cmd
	if err == nil {
		command, err = editorCommand(path)
	}
	if err != nil {
		return nil, nil, errors.Join(err, remove())
	}
	return command, func() (string, error) {
		data, err := textfile.Read(path, maxAttachment)
		return strings.TrimRight(strings.ToValidUTF8(string(data), "\uFFFD"), "\n"), errors.Join(err, remove())
	}, nil
}

// runEditor lets somebody edit a text on the terminal.
func runEditor(ctx context.Context, text string, emit func(tui.Event)) (string, error) {
	command, result, err := editText(text)
	if err != nil {
		return "", err
	}
	done := make(chan error, 1)
	emit(tui.Event{Kind: tui.Exec, Command: command, Done: done})
	select {
	case err = <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	edited, readErr := result()
	return edited, errors.Join(err, readErr)
}
