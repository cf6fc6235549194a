package core

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"trit"
	"trit/chat"
	"trit/sample"
	"trit/tokenizer"
)

// ArgumentsObject returns the arguments of a call as a JSON object.
func ArgumentsObject(text string) json.RawMessage {
	if text == "" || !json.Valid([]byte(text)) {
		return json.RawMessage("{}")
	}
	return json.RawMessage(text)
}

// NewID returns an identifier that nobody can guess, with the prefix that says
// of what.
func NewID(prefix string) string { return prefix + strings.ToLower(rand.Text()[:24]) }

// Of returns the choice among the tools of a request; f may be nil.
func (f *ToolChoiceField) Of(tools []chat.Tool) (trit.ToolChoice, error) {
	if f == nil {
		return trit.ToolChoice{}, nil
	}
	if len(tools) == 0 && f.choice.Mode == trit.ToolsRequired {
		return trit.ToolChoice{}, BadRequest("tool_choice", "tool_choice asks for a call, but the request has no tools")
	}
	return f.choice, nil
}

// IsNull reports whether a field is left out or null.
func IsNull(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) == 0 || string(raw) == "null"
}

// ToolChoiceField says which tools are to be called: a word, or an object in the
// form of the chat API or of the responses API.
type ToolChoiceField struct {
	choice trit.ToolChoice
	Raw    json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *ToolChoiceField) UnmarshalJSON(data []byte) error {
	*f = ToolChoiceField{Raw: bytes.Clone(data)}
	var word string
	if json.Unmarshal(data, &word) == nil {
		switch word {
		case "none":
			f.choice.Mode = trit.ToolsNever
		case "auto":
			f.choice.Mode = trit.ToolsAuto
		case "required":
			f.choice.Mode = trit.ToolsRequired
		default:
			return BadRequest("tool_choice", "tool_choice is %.40q; want none, auto, required, or an object", word)
		}
		return nil
	}
	type named struct {
		Type     string `json:"type"`
		Name     string `json:"name"`
		Function *struct {
			Name string `json:"name"`
		} `json:"function"`
		Custom *struct {
			Name string `json:"name"`
		} `json:"custom"`
	}
	type allowed struct {
		Mode  string  `json:"mode"`
		Tools []named `json:"tools"`
	}
	var object struct {
		named
		allowed
		AllowedTools *allowed `json:"allowed_tools"`
	}
	if json.Unmarshal(data, &object) != nil {
		return BadType("tool_choice", "none, auto, required, or an object")
	}
	name := func(n named) error {
		if n.Function != nil {
			n.Name = n.Function.Name
		}
		if n.Custom != nil {
			n.Name = n.Custom.Name
		}
		if n.Type != "function" && n.Type != "custom" {
			return Unsupported("tool_choice", "tool_choice names a tool of type %.40q; this server has functions only",
				n.Type)
		}
		if n.Name == "" {
			return BadRequest("tool_choice", "tool_choice names no function")
		}
		f.choice.Names = append(f.choice.Names, n.Name)
		return nil
	}
	switch object.Type {
	case "function", "custom": // whose input is a text
		f.choice.Mode = trit.ToolsRequired
		return name(object.named)
	case "allowed_tools":
		list := object.allowed
		if object.AllowedTools != nil {
			list = *object.AllowedTools
		}
		switch list.Mode {
		case "auto":
			f.choice.Mode = trit.ToolsAuto
		case "required":
			f.choice.Mode = trit.ToolsRequired
		default:
			return BadRequest("tool_choice", "the mode of allowed_tools is %.40q; want auto or required", list.Mode)
		}
		if len(list.Tools) == 0 {
			f.choice.Mode = trit.ToolsNever
		}
		for _, n := range list.Tools {
			if err := name(n); err != nil {
				return err
			}
		}
		return nil
	}
	return Unsupported("tool_choice", "tool_choice has the type %.40q; want function or allowed_tools", object.Type)
}

// StopField is a string or a list of strings that end an answer.
type StopField []string

// UnmarshalJSON implements json.Unmarshaler.
func (f *StopField) UnmarshalJSON(data []byte) error {
	list := (*StringList)(f)
	if list.UnmarshalJSON(data) != nil {
		return BadType("stop", "a string or an array of strings")
	}
	return nil
}

// SamplersField is an order of samplers: a list of names, or a text with the
// names in it.
type SamplersField sample.Order

// UnmarshalJSON implements json.Unmarshaler.
func (f *SamplersField) UnmarshalJSON(data []byte) error {
	var names StringList
	if names.UnmarshalJSON(data) != nil {
		return BadType("samplers", `an array of names or a string such as "top_k;top_p;temperature"`)
	}
	order, err := sample.ParseOrder(strings.Join(names, ";"))
	if err != nil {
		return Blame(err, "samplers")
	}
	*f = SamplersField(order)
	return nil
}

// DecodeAt decodes a part of a request that was kept back; param names it.
func DecodeAt(data json.RawMessage, v any, param string) error {
	if Decoding != nil {
		Decoding(v)
	}
	err := decode(data, v)
	if err == nil {
		return nil
	}
	e := *Classify(bodyError(err))
	if e.Param == "" {
		e.Param = param
	} else {
		e.Param = param + "." + e.Param
	}
	e.Message = param + ": " + e.Message
	return &e
}

// NoEmptyTexts checks a list of strings that must not be empty.
func NoEmptyTexts(param string, texts []string) error {
	if i := slices.Index(texts, ""); i >= 0 {
		return BadRequest(param, "element %d of %s is empty", i, param)
	}
	return nil
}

// BadType reports a field whose JSON type does not fit.
func BadType(param, want string) *Error {
	e := BadRequest(param, "%s has the wrong type; want %s", param, want)
	e.Code = "invalid_type"
	return e
}

// IsTrue reports whether an optional field is set to true.
func IsTrue(v *bool) bool { return v != nil && *v }

// HasElements reports whether an optional list or object has anything in it.
func HasElements(raw json.RawMessage) bool {
	return !slices.Contains([]string{"", "null", "[]", "{}", "false"}, string(bytes.TrimSpace(raw)))
}

// ValueOr returns the value of an optional field.
func ValueOr[T any](v *T, otherwise T) T {
	if v == nil {
		return otherwise
	}
	return *v
}

// FewDigits returns a number that files hold in 32 bits as people wrote it: 0.6, not
// 0.6000000238418579.
func FewDigits(x float64) float64 {
	if float64(float32(x)) != x {
		return x
	}
	short, err := strconv.ParseFloat(strconv.FormatFloat(x, 'g', -1, 32), 64)
	if err != nil {
		return x
	}
	return short
}

// Set takes a value of a request if it has one.
func Set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// StringList is a list of strings that may also be a single one.
type StringList []string

// UnmarshalJSON implements json.Unmarshaler.
func (l *StringList) UnmarshalJSON(data []byte) error {
	var list []string
	if len(data) > 0 && data[0] == '"' {
		list = []string{""}
		if err := json.Unmarshal(data, &list[0]); err != nil {
			return err
		}
	} else if err := json.Unmarshal(data, &list); err != nil {
		return &Error{Status: 400, Code: "invalid_type",
			Message: "want a string or an array of strings, not " + ShortJSON(data)}
	}
	*l = list
	return nil
}

// CheckTokens reports ids that are not in the vocabulary.
func CheckTokens(param string, ids []int32, t *tokenizer.Tokenizer) error {
	for i, id := range ids {
		if id < 0 || int(id) >= t.Len() {
			return BadRequest(param, "%s: element %d is the token %d; this model's are 0 to %d", param, i, id,
				t.Len()-1)
		}
	}
	return nil
}

// TokenText returns the text of a token as JSON can hold it, and its bytes.
func TokenText(t *tokenizer.Tokenizer, id int32) (string, []int) {
	piece := t.Piece(id, true)
	codes := make([]int, len(piece))
	for i := range len(piece) {
		codes[i] = int(piece[i])
	}
	return strings.ToValidUTF8(piece, "\uFFFD"), codes
}

// JSONLogProb returns a logarithm of a probability as JSON can hold it.
func JSONLogProb(logProb float64) float64 {
	if math.IsNaN(logProb) || logProb < -9999 {
		return -9999
	}
	return logProb
}

// ShortJSON returns the beginning of a JSON value, for messages.
func ShortJSON(data []byte) string {
	const most = 60
	if len(data) <= most {
		return string(data)
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(data[cut]) {
		cut--
	}
	return string(data[:cut]) + "…"
}
