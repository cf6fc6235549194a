package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode/utf8"

	"trit/internal/textfile"
	"trit/internal/tui"
)

// attachment is a file that goes with a message.
type attachment struct {
	name   string
	text   string
	tokens int // 0 if nobody has counted them
}

// size is how long it is, in tokens if that is known.
func (a *attachment) size() string {
	if a.tokens == 0 {
		return fmt.Sprintf("%d bytes", len(a.text))
	}
	return fmt.Sprintf("%d tokens", a.tokens)
}

const (
	maxAttachment  = 16 << 20 // bytes of a file
	maxAttachments = 20       // files of a message
)

// readAttachment reads a text file.
func (c *conversation) readAttachment(path string) (attachment, error) {
	data, err := textfile.Read(path, maxAttachment)
	if err != nil {
		return attachment{}, err
	}
	if bytes.IndexByte(data, 0) >= 0 || !utf8.Valid(data) {
		return attachment{}, fmt.Errorf("%s is no text in UTF-8; only text can be sent", path)
	}
	a := attachment{name: filepath.Base(path), text: strings.TrimRight(string(data), "\n")}
	a.tokens = c.partner.tokens(a.text)
	if n := c.context(); n > 0 && a.tokens >= n {
		return attachment{}, fmt.Errorf("%s has %d tokens, the context only %d", path, a.tokens, c.context())
	}
	return a, nil
}

func (c *conversation) fileCommand(_ context.Context, args string, _ func(tui.Event)) (string, *exchange, error) {
	switch args {
	case "":
		if len(c.attached) == 0 {
			return "No file goes with the next message.", nil, nil
		}
		var b strings.Builder
		for _, a := range c.attached {
			fmt.Fprintf(&b, "%14s  %s\n", a.size(), a.name)
		}
		return b.String(), nil, nil
	case "off":
		c.attached = nil
		return "No file goes with the next message.", nil, nil
	}
	if len(c.attached) == maxAttachments {
		return "", nil, fmt.Errorf("%d files go with the next message, and no more can; /file off drops them", maxAttachments)
	}
	path, err := filePath(strings.Trim(args, `"`))
	if err != nil {
		return "", nil, err
	}
	a, err := c.readAttachment(path)
	if err != nil {
		return "", nil, err
	}
	c.attached = append(c.attached, a)
	return fmt.Sprintf("%s, %s, goes with the next message.", a.name, a.size()), nil, nil
}

// mention is a file in a message: @FILE or @"FILE WITH BLANKS".
var mention = regexp.MustCompile(`(^|\s)@(?:"([^"\n]+)"|([^\s"]+))`)

// withFiles returns a message with the files that it mentions and those that were
// attached before it, which it returns too. What is no file stays as it is.
func (c *conversation) withFiles(text string) (string, []attachment, error) {
	attached, files := c.attached, c.attached
	var failed error
	text = mention.ReplaceAllStringFunc(text, func(found string) string {
		m := mention.FindStringSubmatch(found)
		name, end := m[2]+m[3], ""
		if m[3] != "" && !isFile(name) { // a sentence may end behind it
			name = strings.TrimRight(m[3], ".,;:!?)")
			end = m[3][len(name):]
		}
		if !isFile(name) {
			return found
		}
		path, err := filePath(name)
		if err == nil && len(files) == maxAttachments {
			err = fmt.Errorf("more than %d files in a message", maxAttachments)
		}
		var a attachment
		if err == nil {
			a, err = c.readAttachment(path)
		}
		if err != nil {
			failed = errors.Join(failed, err)
			return found
		}
		files = append(files[:len(files):len(files)], a)
		return m[1] + a.name + end
	})
	if failed != nil {
		return "", nil, failed
	}
	c.attached = nil
	var b strings.Builder
	for _, a := range files {
		fence := "```"
		for strings.Contains(a.text, fence) {
			fence += "`"
		}
		fmt.Fprintf(&b, "%s:\n%s\n%s\n%s\n\n", a.name, fence, a.text, fence)
	}
	return b.String() + text, attached, nil
}

// isFile reports whether a name is that of a file which can be read to its end.
func isFile(name string) bool {
	path, err := filePath(name)
	if err != nil {
		return false
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular()
}
