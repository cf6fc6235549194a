package core

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// FieldLimit bounds what a field of a request may hold. Requests are checked against
// the table below before they are decoded, in one pass over their bytes, so that
// nothing that decodes or uses a field meets more than this.
type FieldLimit struct {
	Text  int // bytes of a string, as JSON writes it; of each one, if the field is a list
	List  int // elements of a list, or keys of an object
	Parts int // elements of a list that are no numbers; 0: as many as there may be elements
	Total int // bytes of the whole value; 0: as many as the body may have
	// Free says that the names within are the client's own, and that the same holds for
	// everything within.
	Free bool
}

// wholeBody stands where only the size of the whole body is a limit.
const wholeBody = 1 << 30

// MaxTexts bounds the texts of a request that are looked at one by one; it is OpenAI's limit.
const MaxTexts = 2048

// CheckTexts reports a field with too many texts.
func CheckTexts(field string, n int) error {
	if n > MaxTexts {
		return BadRequest(field, "%s has %d elements; at most %d are allowed", field, n, MaxTexts)
	}
	return nil
}

// maxNesting bounds how deeply the values of a request nest.
const maxNesting = 256

// The kinds of fields.
var (
	word     = FieldLimit{Text: 1 << 10}                              // a name, an id, a mode
	words    = FieldLimit{Text: 1 << 10, List: 256}                   // several
	object   = FieldLimit{List: 256}                                  // what has fields of its own in this table
	objects  = FieldLimit{Text: 1 << 10, List: 1 << 10}               // several
	prose    = FieldLimit{Text: wholeBody, List: 1 << 14}             // what the model reads, or parts of it
	values   = FieldLimit{Text: wholeBody, List: 1 << 14, Free: true} // the same as any JSON
	tokens   = FieldLimit{List: 1 << 20}                              // ids
	schema   = FieldLimit{Text: 1 << 20, List: 1 << 16, Total: 1 << 20, Free: true}
	settings = FieldLimit{Text: 1 << 16, List: 1 << 10, Total: 1 << 20, Free: true} // of a template
	unknown  = FieldLimit{Text: wholeBody, List: wholeBody, Free: true}             // what nobody decodes
)

// limits are the limits of all fields of all APIs, by their names: a name means the
// same kind of thing everywhere.
var limits = map[string]FieldLimit{
	// names and modes
	"model": word, "name": word, "source": word, "destination": word, "role": word, "type": word, "id": word,
	"mode": word, "call_id": word, "tool_call_id": word, "tool_use_id": word, "tool_name": word, "status": word,
	"encoding_format": word, "input_type": word, "reasoning_format": word, "truncation": word, "keep_alive": word, "previous_response_id": word, "phase": word, "filename": word,
	"guided_whitespace_pattern": word, "service_tier": word, "user": word, "cache_salt": word,
	"include": words, "response_fields": words, "modalities": words, "samplers": words, "think": word, "reasoning_effort": word, "effort": word,
	"from": word, "quantize": word, "files": {Text: 1 << 10, List: 64, Free: true}, "adapters": {Text: 1 << 10, List: 64, Free: true},
	// what the model reads
	"messages": prose, "content": prose, "system": prose, "instructions": prose, "text": prose, "thinking": prose,
	"reasoning_content": prose, "reasoning": prose, "refusal": prose, "suffix": prose, "template": prose,
	"chat_template": prose, "description": prose, "signature": prose, "modelfile": {Text: 1 << 20}, "license": {Text: 1 << 20, List: 64}, "data": prose, "images": prose,
	"summary": prose, "query": prose, "title": prose, "documents": values, "arguments": values, "output": values, "audio": values,
	"input": {Text: wholeBody, List: 1 << 20, Parts: 1 << 14, Free: true}, "prompt": {Text: wholeBody, List: 1 << 20, Parts: 1 << 14},
	"tokens": tokens, "context": tokens,
	// tools
	"tools": {Text: 1 << 10, List: 128}, "tool_calls": objects, "function": object, "function_call": {Text: 1 << 10, List: 256}, "functions": objects,
	"tool_choice": objects, "allowed_tools": object, "custom": values,
	// formats
	"parameters": schema, "schema": schema, "json_schema": schema, "guided_json": schema, "json": schema,
	"input_schema": schema, "format": schema, "response_format": schema, "output_format": schema,
	"output_config": schema, "structured_outputs": schema,
	"grammar": {Text: 1 << 20}, "guided_grammar": {Text: 1 << 20}, "regex": {Text: 1 << 16}, "guided_regex": {Text: 1 << 16},
	"choice": {Text: 1 << 13, List: 1 << 12}, "guided_choice": {Text: 1 << 13, List: 1 << 12},
	// how tokens are chosen
	"options": object, "stop": {Text: 1 << 10, List: 64}, "stop_sequences": {Text: 1 << 10, List: 64},
	"stop_token_ids": {List: 1 << 10}, "allowed_token_ids": {List: 1 << 18}, "logit_bias": {Text: 1 << 10, List: 1 << 16},
	"bad_words": words, "dry_sequence_breakers": {Text: 64, List: 32}, "stream_options": object,
	// what is not served, or means nothing here
	"chat_template_kwargs": settings, "metadata": settings, "logits_processors": settings, "lora": settings,
	"mcp_servers": settings, "container": settings, "conversation": settings, "context_management": settings,
	"web_search_options": settings,
}

// Decoding, if not nil, is called with what a request, or a part of one, is about to be decoded
// into. Tests have the types checked by it.
var Decoding func(v any)

// LimitOf returns the limit of a field.
func LimitOf(name string) (FieldLimit, bool) {
	l, ok := limits[name]
	return l, ok
}

// limitWalk goes through a valid JSON value.
type limitWalk struct {
	data []byte
	pos  int
	path []byte // of the field, for errors

	// contract decides about the fields, and notes those that are ignored; nil decides nothing.
	contract *Contract
	ignored  []string
}

// checkFields compares a request, which is valid JSON, with the table. Fields that the
// table does not have are nobody's. And it has a contract, unless that is nil, decide about the
// fields, and returns what is ignored.
func checkFields(body []byte, c *Contract) (ignored []string, err error) {
	w := limitWalk{data: body, contract: c}
	err = w.value(object, 0)
	return w.ignored, err
}

func (w *limitWalk) exceeds(format string, args ...any) error {
	name := string(w.path)
	return BadRequest(name, "%s "+format, append([]any{fieldName(name)}, args...)...)
}

func (w *limitWalk) space() {
	for w.pos < len(w.data) && w.data[w.pos] <= ' ' {
		w.pos++
	}
}

// next takes a byte that is expected if it is there.
func (w *limitWalk) next(c byte) bool {
	if w.space(); w.pos < len(w.data) && w.data[w.pos] == c {
		w.pos++
		return true
	}
	return false
}

// text passes a string and returns what stands between its quotes.
func (w *limitWalk) text() []byte {
	w.pos++
	start := w.pos
	for w.pos < len(w.data) {
		switch w.data[w.pos] {
		case '"':
			w.pos++
			return w.data[start : w.pos-1]
		case '\\':
			w.pos++
		}
		w.pos++
	}
	return nil // not of valid JSON
}

func (w *limitWalk) value(l FieldLimit, depth int) error {
	w.space()
	if w.pos >= len(w.data) {
		return nil
	}
	if depth > maxNesting {
		return w.exceeds("nests values more than %d deep", maxNesting)
	}
	start := w.pos
	switch w.data[w.pos] {
	case '"':
		if text := w.text(); l.Text > 0 && len(text) > l.Text { // 0: decoding refuses it
			return w.exceeds("has %d bytes; at most %d are allowed", len(text), l.Text)
		}
	case '[', '{':
		if err := w.list(l, depth); err != nil {
			return err
		}
	default:
		for w.pos < len(w.data) && !bytes.ContainsRune([]byte(",]} \t\r\n"), rune(w.data[w.pos])) {
			w.pos++
		}
	}
	if n := w.pos - start; l.Total > 0 && n > l.Total {
		return w.exceeds("has %d bytes; at most %d are allowed", n, l.Total)
	}
	return nil
}

// fieldKey returns the key of an object as decoding compares it: without escapes, and
// in lower case, to which two letters beyond ASCII belong.
func fieldKey(key []byte) string {
	name := string(key)
	if bytes.IndexByte(key, '\\') >= 0 {
		// What is not valid JSON does not come this far.
		_ = json.Unmarshal(slices.Concat([]byte{'"'}, key, []byte{'"'}), &name)
	}
	return foldedLetters.Replace(strings.ToLower(name))
}

var foldedLetters = strings.NewReplacer("\u017f", "s", "\u212a", "k")

// list passes a list or an object.
func (w *limitWalk) list(l FieldLimit, depth int) error {
	isObject := w.data[w.pos] == '{'
	w.pos++
	at := len(w.path)
	if l.List == 0 { // decoding refuses it
		l = unknown
	}
	judged := w.contract != nil && isObject && w.contract.parents[string(w.path)]
	parts := 0
	for n := 0; !w.next(']') && !w.next('}') && w.pos < len(w.data); n++ {
		if n >= l.List {
			return w.exceeds("has more than %d elements, which is how many are allowed", l.List)
		}
		inner := l
		if isObject {
			name := fieldKey(w.text())
			if len(name) > 1<<10 {
				return w.exceeds("has a key of %d bytes; at most %d are allowed", len(name), 1<<10)
			}
			if !w.next(':') {
				return nil
			}
			if at > 0 {
				w.path = append(w.path, '.')
			}
			if name == "" {
				w.path = append(w.path, `""`...)
			}
			w.path = append(w.path, name...)
			if !l.Free {
				known, ok := limits[name]
				if inner = known; !ok {
					inner = unknown
				}
			}
		} else if w.path = fmt.Appendf(w.path, "[%d]", n); depth == 0 {
			inner = unknown // no request is a list
		}
		w.space()
		start := w.pos
		if err := w.value(inner, depth+1); err != nil {
			return err
		}
		if !isObject && l.Parts > 0 && bytes.IndexByte([]byte("-0123456789"), w.data[start]) < 0 {
			if parts++; parts > l.Parts {
				w.path = w.path[:at]
				return w.exceeds("has more than %d elements that are no numbers, which is how many are allowed", l.Parts)
			}
		}
		if judged {
			if err := w.contract.judge(string(w.path), string(w.data[start:w.pos]), &w.ignored); err != nil {
				return err
			}
		}
		w.path = w.path[:at]
		w.next(',')
	}
	return nil
}
