package server

import (
	"bytes"
	"encoding/json"

	"trit/chat"
)

// guideFields make an answer keep to a format, as vLLM and llama.cpp's server
// call that.
type guideFields struct {
	Grammar       string          `json:"grammar"`
	GrammarLazy   *bool           `json:"grammar_lazy"`
	JSONSchema    json.RawMessage `json:"json_schema"`
	GuidedJSON    json.RawMessage `json:"guided_json"`
	GuidedRegex   *string         `json:"guided_regex"`
	GuidedChoice  []string        `json:"guided_choice"`
	GuidedGrammar *string         `json:"guided_grammar"`
	Structured    *struct {
		JSON       json.RawMessage `json:"json"`
		Regex      *string         `json:"regex"`
		Choice     []string        `json:"choice"`
		Grammar    *string         `json:"grammar"`
		JSONObject *bool           `json:"json_object"`
	} `json:"structured_outputs"`
}

// responseFormat is OpenAI's way to say it.
type responseFormat struct {
	Type       string          `json:"type"`
	JSONSchema *responseSchema `json:"json_schema"`
	Schema     json.RawMessage `json:"schema"` // llama.cpp's place, and that of the responses API
	Strict     *bool           `json:"strict"`
}

type responseSchema struct {
	Name   string          `json:"name"`
	Schema json.RawMessage `json:"schema"`
	Strict *bool           `json:"strict"`
}

// format returns the format that a request asks for. param is the name of the
// field that rf comes from.
func (g *guideFields) format(rf *responseFormat, param string) (format, error) {
	var all []format
	add := func(f format, param string) {
		f.param = param
		all = append(all, f)
	}
	if rf != nil {
		f, err := rf.format(param)
		if err != nil {
			return format{}, err
		}
		if f.key() != "" {
			all = append(all, f)
		}
	}
	if isTrue(g.GrammarLazy) {
		return format{}, unsupported("grammar_lazy", "grammar_lazy is not supported by this server; a grammar holds from the first token on")
	}
	if g.Grammar != "" {
		add(format{gbnf: g.Grammar}, "grammar")
	}
	if g.GuidedGrammar != nil {
		add(format{gbnf: *g.GuidedGrammar}, "guided_grammar")
	}
	if g.GuidedRegex != nil {
		add(format{pattern: *g.GuidedRegex}, "guided_regex")
	}
	if g.GuidedChoice != nil {
		add(format{choice: g.GuidedChoice}, "guided_choice")
	}
	schema := func(raw json.RawMessage, param string) error {
		if isNull(raw) {
			return nil
		}
		raw, err := schemaOf(raw, param)
		if err == nil {
			add(format{schema: raw}, param)
		}
		return err
	}
	if err := schema(g.JSONSchema, "json_schema"); err != nil {
		return format{}, err
	}
	if err := schema(g.GuidedJSON, "guided_json"); err != nil {
		return format{}, err
	}
	if s := g.Structured; s != nil {
		if err := schema(s.JSON, "structured_outputs"); err != nil {
			return format{}, err
		}
		if s.Regex != nil {
			add(format{pattern: *s.Regex}, "structured_outputs")
		}
		if s.Choice != nil {
			add(format{choice: s.Choice}, "structured_outputs")
		}
		if s.Grammar != nil {
			add(format{gbnf: *s.Grammar}, "structured_outputs")
		}
		if isTrue(s.JSONObject) {
			add(format{object: true}, "structured_outputs")
		}
	}
	switch len(all) {
	case 0:
		return format{}, nil
	case 1:
		if f := all[0]; f.key() == "" { // an empty grammar, pattern or choice
			return format{}, badRequest(f.param, "%s is empty", f.param)
		}
		return all[0], nil
	}
	return format{}, badRequest(all[1].param, "%s and %s both say what the answer looks like; send one of them", all[0].param, all[1].param)
}

func (rf *responseFormat) format(param string) (format, error) {
	schema, strict, at := rf.Schema, rf.Strict, param+".schema"
	if rf.JSONSchema != nil {
		schema, strict, at = rf.JSONSchema.Schema, rf.JSONSchema.Strict, param+".json_schema.schema"
	}
	switch rf.Type {
	case "text":
		return format{}, nil
	case "json_object":
		if isNull(schema) {
			return format{object: true, param: param}, nil
		}
	case "json_schema":
		if isNull(schema) {
			return format{}, badRequest(param, "%s has no schema", param)
		}
	default:
		return format{}, badRequest(param+".type", "%s.type is %.40q; want text, json_object or json_schema", param, rf.Type)
	}
	schema, err := schemaOf(schema, at)
	return format{schema: schema, loose: !isTrue(strict), param: at}, err
}

// schemaOf returns a JSON Schema that is given as an object or as its text.
func schemaOf(raw json.RawMessage, param string) (json.RawMessage, error) {
	raw = bytes.TrimSpace(raw)
	if bytes.HasPrefix(raw, []byte(`"`)) {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, badType(param, "a JSON Schema")
		}
		if raw = bytes.TrimSpace([]byte(text)); !json.Valid(raw) {
			return nil, badRequest(param, "%s is a text that is not valid JSON", param)
		}
	}
	if !bytes.HasPrefix(raw, []byte("{")) && string(raw) != "true" && string(raw) != "false" {
		return nil, badType(param, "a JSON Schema, which is an object")
	}
	var compact bytes.Buffer // so that a schema is recognised when it comes again
	if err := json.Compact(&compact, raw); err != nil {
		return nil, badRequest(param, "%s: %v", param, err)
	}
	return compact.Bytes(), nil
}

func isNull(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) == 0 || string(raw) == "null"
}

// maxTools bounds the tools of a request; it is OpenAI's limit.
const maxTools = 128

// checkTool checks the name and the parameters of a function. param names the
// tool in the request.
func checkTool(f *chat.Function, param string) error {
	if f.Name == "" || len(f.Name) > 128 {
		return badRequest(param+".name", "the name of a tool has %d bytes; want 1 to 128", len(f.Name))
	}
	for _, c := range []byte(f.Name) {
		if c != '_' && c != '-' && c != '.' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return badRequest(param+".name", "the tool is called %q; a name has letters, digits, _, - and . only", f.Name)
		}
	}
	if isNull(f.Parameters) {
		f.Parameters = nil
		return nil
	}
	if f.Parameters = bytes.TrimSpace(f.Parameters); f.Parameters[0] != '{' {
		return badType(param+".parameters", "a JSON Schema, which is an object")
	}
	return nil
}

// toolChoiceField says which tools are to be called: a word, or an object in the
// form of the chat API or of the responses API.
type toolChoiceField struct {
	choice toolChoice
	raw    json.RawMessage
}

// UnmarshalJSON implements json.Unmarshaler.
func (f *toolChoiceField) UnmarshalJSON(data []byte) error {
	*f = toolChoiceField{raw: bytes.Clone(data)}
	var word string
	if json.Unmarshal(data, &word) == nil {
		switch word {
		case "none":
			f.choice.mode = toolsNever
		case "auto":
			f.choice.mode = toolsAuto
		case "required":
			f.choice.mode = toolsRequired
		default:
			return badRequest("tool_choice", "tool_choice is %.40q; want none, auto, required, or an object", word)
		}
		return nil
	}
	type named struct {
		Type     string `json:"type"`
		Name     string `json:"name"`
		Function *struct {
			Name string `json:"name"`
		} `json:"function"`
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
		return badType("tool_choice", "none, auto, required, or an object")
	}
	name := func(n named) error {
		if n.Function != nil {
			n.Name = n.Function.Name
		}
		if n.Type != "function" {
			return unsupported("tool_choice", "tool_choice names a tool of type %.40q; this server has functions only", n.Type)
		}
		if n.Name == "" {
			return badRequest("tool_choice", "tool_choice names no function")
		}
		f.choice.names = append(f.choice.names, n.Name)
		return nil
	}
	switch object.Type {
	case "function":
		f.choice.mode = toolsRequired
		return name(object.named)
	case "allowed_tools":
		list := object.allowed
		if object.AllowedTools != nil {
			list = *object.AllowedTools
		}
		switch list.Mode {
		case "auto":
			f.choice.mode = toolsAuto
		case "required":
			f.choice.mode = toolsRequired
		default:
			return badRequest("tool_choice", "the mode of allowed_tools is %.40q; want auto or required", list.Mode)
		}
		if len(list.Tools) == 0 {
			f.choice.mode = toolsNever
		}
		for _, n := range list.Tools {
			if err := name(n); err != nil {
				return err
			}
		}
		return nil
	}
	return unsupported("tool_choice", "tool_choice has the type %.40q; want function or allowed_tools", object.Type)
}
