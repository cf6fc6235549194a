package eval

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Task is a list of items of one kind: questions with choices, or texts.
type Task struct {
	Name  string
	Items []Item
}

// Item is a question with choices, or, without any, a text.
type Item struct {
	Context string
	Choices []string
	Answer  int // index of the right choice

	line int
}

// ErrTask reports a task that cannot be read.
var ErrTask = errors.New("eval: bad task")

// texts reports whether the items are texts.
func (t *Task) texts() bool { return len(t.Items) > 0 && t.Items[0].Choices == nil }

// ReadTask reads a task in JSON lines. Each is in one of these forms:
//
//   - of ARC: question, choices with text and label, answerKey; or as the published files nest them;
//   - of HellaSwag: activity_label, ctx_a and ctx_b or ctx, endings, label;
//   - of PIQA: goal, sol1, sol2, label;
//   - plain: context, choices and answer, the index of the right one;
//   - a text: text, or page.
//
// Errors wrap [ErrTask] and name the line.
func ReadTask(name string, data []byte) (*Task, error) {
	t := &Task{Name: name}
	for n, line := 1, []byte(nil); len(data) > 0; n++ {
		line, data, _ = bytes.Cut(data, []byte("\n"))
		if len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		item, err := readItem(line)
		if err == nil && len(t.Items) > 0 && (item.Choices == nil) != t.texts() {
			err = errors.New("questions and texts are in one task")
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %s, line %d: %w", ErrTask, name, n, err)
		}
		item.line = n
		t.Items = append(t.Items, *item)
	}
	if len(t.Items) == 0 {
		return nil, fmt.Errorf("%w: %s has no items", ErrTask, name)
	}
	return t, nil
}

// itemLine has the fields of all forms.
type itemLine struct {
	Text, Page string
	Context    *string
	Question   json.RawMessage
	Choices    json.RawMessage
	Answer     *int
	AnswerKey  string `json:"answerKey"`
	Activity   string `json:"activity_label"`
	Ctx        string
	CtxA       string `json:"ctx_a"`
	CtxB       string `json:"ctx_b"`
	Endings    []string
	Label      json.RawMessage
	Goal       string
	Sol1, Sol2 string
}

func readItem(data []byte) (*Item, error) {
	var l itemLine
	if err := json.Unmarshal(data, &l); err != nil {
		return nil, err
	}
	item := &Item{}
	var err error
	switch {
	case l.Endings != nil:
		err = l.hellaSwag(item)
	case l.Goal != "":
		item.Context, item.Choices = "Question: "+l.Goal+"\nAnswer:", []string{l.Sol1, l.Sol2}
		item.Answer, err = l.label()
	case l.Question != nil:
		err = l.arc(item)
	case l.Context != nil:
		item.Context = *l.Context
		if err = json.Unmarshal(l.Choices, &item.Choices); err != nil {
			err = fmt.Errorf("choices: %w", err)
		} else if l.Answer == nil {
			err = errors.New("answer is missing, the index of the right choice")
		} else {
			item.Answer = *l.Answer
		}
	case l.Text+l.Page != "":
		item.Context = l.Text + l.Page
		return item, nil
	default:
		err = errors.New("it has none of the forms; want context, choices and answer, a text, or a line of ARC, HellaSwag or PIQA")
	}
	switch {
	case err != nil:
		return nil, err
	case len(item.Choices) < 2 || slices.Contains(item.Choices, ""):
		return nil, fmt.Errorf("it has %d choices; want at least two, none of them empty", len(item.Choices))
	case item.Answer < 0 || item.Answer >= len(item.Choices):
		return nil, fmt.Errorf("the right choice is number %d of %d, from 0", item.Answer, len(item.Choices))
	case strings.TrimSpace(item.Context) == "":
		return nil, errors.New("the context is empty")
	}
	return item, nil
}

// label reads a label that is a number, or a number as a text.
func (l *itemLine) label() (int, error) {
	n, err := strconv.Atoi(strings.Trim(string(l.Label), `"`))
	if err != nil {
		return 0, fmt.Errorf("label is %.20q; want the index of the right choice", l.Label)
	}
	return n, nil
}

// arc reads the two forms of ARC.
func (l *itemLine) arc(item *Item) error {
	type choice struct{ Text, Label string }
	var stem string
	var choices []choice
	var nested struct {
		Stem    string
		Choices []choice
	}
	var lists struct{ Text, Label []string }
	if json.Unmarshal(l.Question, &stem) == nil {
		if err := json.Unmarshal(l.Choices, &lists); err != nil {
			return fmt.Errorf("choices: %w", err)
		}
		for i := range min(len(lists.Text), len(lists.Label)) {
			choices = append(choices, choice{lists.Text[i], lists.Label[i]})
		}
	} else if err := json.Unmarshal(l.Question, &nested); err != nil {
		return fmt.Errorf("question: %w", err)
	} else {
		stem, choices = nested.Stem, nested.Choices
	}
	item.Context, item.Answer = "Question: "+stem+"\nAnswer:", -1
	for i, c := range choices {
		item.Choices = append(item.Choices, c.Text)
		if c.Label == l.AnswerKey {
			item.Answer = i
		}
	}
	if item.Answer < 0 {
		return fmt.Errorf("no choice has the label %.20q of answerKey", l.AnswerKey)
	}
	return nil
}

// hellaSwag reads a line of HellaSwag and leaves out the marks of the pages that it came from.
func (l *itemLine) hellaSwag(item *Item) error {
	context := l.Ctx
	if l.CtxA != "" {
		context = l.CtxA + " " + capitalized(l.CtxB)
	}
	item.Context = withoutMarks(l.Activity + ": " + context)
	for _, e := range l.Endings {
		item.Choices = append(item.Choices, withoutMarks(e))
	}
	var err error
	item.Answer, err = l.label()
	return err
}

// capitalized has its first letter large and all others small.
func capitalized(s string) string {
	r, size := utf8.DecodeRuneInString(s)
	if size == 0 {
		return ""
	}
	return string(unicode.ToUpper(r)) + strings.ToLower(s[size:])
}

var marks = regexp.MustCompile(`\[.*?\]`)

func withoutMarks(s string) string {
	s = strings.ReplaceAll(strings.TrimSpace(s), " [title]", ". ")
	return strings.ReplaceAll(marks.ReplaceAllString(s, ""), "  ", " ")
}
