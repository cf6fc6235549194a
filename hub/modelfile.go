package hub

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"strings"

	"trit/chat"
	"trit/internal/textfile"
)

// ParseModelfile reads a model in the form of Ollama's Modelfile: a command on each line, whose value
// may go over several in three quotes. It has no name yet. FROM is taken as it stands. Errors wrap
// [ErrModelfile] and name the line.
func ParseModelfile(text string) (*Derived, error) {
	d := &Derived{}
	p := modelfileParser{rest: strings.ReplaceAll(textfile.Trim(text), "\r\n", "\n")}
	for {
		line, command, value, err := p.next()
		if command == "" && err == nil {
			break
		}
		if err == nil {
			err = d.command(command, value)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: line %d: %w", ErrModelfile, line, err)
		}
	}
	if d.From == "" {
		return nil, fmt.Errorf("%w: FROM is missing; it names the model that the new one is made of", ErrModelfile)
	}
	return d, nil
}

// command takes one command of a Modelfile.
func (d *Derived) command(command, value string) error {
	switch command {
	case "FROM":
		if d.From != "" {
			return errors.New("a second FROM; a model is made of one")
		}
		value = strings.TrimSpace(value)
		d.From = value
	case "SYSTEM":
		d.System = value
	case "TEMPLATE":
		d.Template = value
	case "LICENSE":
		d.License = append(d.License, value)
	case "MESSAGE":
		role, content := cutWord(value)
		content, _, err := modelfileValue(content)
		if err != nil {
			return err
		}
		d.Messages = append(d.Messages, chat.Message{Role: role, Content: content})
	case "PARAMETER":
		name, text := cutWord(value)
		text, _, err := modelfileValue(text)
		if err != nil {
			return err
		}
		return d.addParameter(strings.ToLower(name), text)
	case "REQUIRES": // a version of Ollama
	case "ADAPTER":
		return errors.New("ADAPTER: adapters are not supported; merge it into the weights and convert those")
	case "RENDERER", "PARSER":
		return fmt.Errorf("%s: what Ollama has built in for some models is the template's business here; "+
			"leave it out, and TEMPLATE too, to use the model's own", command)
	default:
		return fmt.Errorf("%.40q is no command; want FROM, SYSTEM, PARAMETER, TEMPLATE, MESSAGE or LICENSE", command)
	}
	if value == "" {
		return fmt.Errorf("%s has no value", command)
	}
	return nil
}

// modelfileParser goes through a Modelfile.
type modelfileParser struct {
	rest string
	line int // of what comes next, less one
}

// next returns the next command, in capitals, and its value; of MESSAGE and PARAMETER that begins with
// a word, and is still quoted. The command is empty at the end.
func (p *modelfileParser) next() (line int, command, value string, err error) {
	for p.rest != "" {
		p.line++
		first, behind, _ := strings.Cut(p.rest, "\n")
		text := strings.TrimSpace(first)
		if text == "" || text[0] == '#' {
			p.rest = behind
			continue
		}
		line = p.line
		// The value is looked for in all that follows, where it may end on another line.
		command, value = cutWord(strings.TrimLeft(p.rest, " \t"))
		command = strings.ToUpper(command)
		head := ""
		if command == "MESSAGE" || command == "PARAMETER" {
			head, value = cutWord(value)
			head += " "
		}
		plain, rest, err := modelfileValue(value)
		if err != nil {
			return line, command, "", err
		}
		if head != "" {
			plain = value[:len(value)-len(rest)]
		}
		p.line += strings.Count(p.rest[:len(p.rest)-len(rest)], "\n")
		p.rest = rest
		if end, behind, _ := strings.Cut(rest, "\n"); strings.TrimSpace(end) == "" {
			p.rest = behind
		} else {
			return line, command, "", fmt.Errorf("behind the quotes of %s stands %.40q; begin a new line", command, end)
		}
		return line, command, head + plain, nil
	}
	return p.line, "", "", nil
}

// cutWord splits a line, of which there may be more, behind its first word.
func cutWord(text string) (word, rest string) {
	i := strings.IndexAny(text, " \t\n")
	if i < 0 {
		return text, ""
	}
	return text[:i], strings.TrimLeft(text[i:], " \t")
}

// modelfileValue reads a value: the rest of the line, which may stand in quotes, or what stands in three of them.
// Four and more quotes that end their line are marks of that length, for texts that have three in them; Ollama does
// not know these; six are nothing in quotes.
func modelfileValue(text string) (value, rest string, err error) {
	quotes := len(text) - len(strings.TrimLeft(text, `"`))
	line, _, _ := strings.Cut(text, "\n")
	if quotes < 3 {
		rest = text[len(line):]
		line = strings.TrimSpace(line)
		if n := len(line); n >= 2 && line[0] == '"' && line[n-1] == '"' {
			line = line[1 : n-1]
		}
		return line, rest, nil
	}
	inside := text[3:]
	if behind := text[quotes:]; quotes > 3 && quotes != 6 && strings.HasPrefix(behind, "\n") {
		inside = behind[1:]
	} else {
		quotes = 3
	}
	at := strings.Index(inside, strings.Repeat(`"`, quotes))
	if at < 0 {
		return "", "", fmt.Errorf("the quotes %s are not closed", strings.Repeat(`"`, quotes))
	}
	for at+quotes < len(inside) && inside[at+quotes] == '"' { // the text ends with a quote
		at++
	}
	return inside[:at], inside[at+quotes:], nil
}

// quoteModelfile writes a value so that modelfileValue reads it.
func quoteModelfile(text string) string {
	if text == "" {
		return `""`
	}
	if !strings.ContainsAny(text, "\n\r") && text[0] != '"' && strings.TrimSpace(text) == text {
		return text
	}
	if !strings.Contains(text, `"""`) && !strings.HasPrefix(text, `"`) {
		return `"""` + text + `"""`
	}
	marks := `""""`
	for strings.Contains(text, marks) || len(marks) == 6 {
		marks += `"`
	}
	return marks + "\n" + text + marks
}

// Modelfile writes the model in the form that [ParseModelfile] reads.
func (d *Derived) Modelfile() string {
	var b strings.Builder
	fmt.Fprintf(&b, "FROM %s\n", quoteModelfile(d.From))
	for _, c := range []struct{ command, value string }{{"TEMPLATE", d.Template}, {"SYSTEM", d.System}} {
		if c.value != "" {
			fmt.Fprintf(&b, "%s %s\n", c.command, quoteModelfile(c.value))
		}
	}
	for name, value := range d.parameters() {
		fmt.Fprintf(&b, "PARAMETER %s %s\n", name, quoteModelfile(value))
	}
	for _, m := range d.Messages {
		fmt.Fprintf(&b, "MESSAGE %s %s\n", m.Role, quoteModelfile(m.Content))
	}
	for _, text := range d.License {
		fmt.Fprintf(&b, "LICENSE %s\n", quoteModelfile(text))
	}
	return b.String()
}

// ParameterLines returns the parameters in the form of Ollama's show: a name and a value on each line.
func (d *Derived) ParameterLines() string {
	var b strings.Builder
	for name, value := range d.parameters() {
		if _, listed := d.Parameters[name].([]string); listed {
			value = strconv.Quote(value)
		}
		fmt.Fprintf(&b, "%-30s %s\n", name, value)
	}
	return b.String()
}

// parameters yields the names, in order, and their values as texts.
func (d *Derived) parameters() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for _, name := range slices.Sorted(maps.Keys(d.Parameters)) {
			values, ok := d.Parameters[name].([]string)
			if !ok {
				values = []string{fmt.Sprint(d.Parameters[name])}
			}
			for _, value := range values {
				if !yield(name, value) {
					return
				}
			}
		}
	}
}
