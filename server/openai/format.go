package openai

import (
	"bytes"
	"encoding/json"

	"trit"
	"trit/chat"
	"trit/server/core"
)

// guideFields make an answer keep to a format, as vLLM and llama.cpp's server
// call that.
type guideFields struct {
	Grammar       string          `json:"grammar"`
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
func (g *guideFields) format(rf *responseFormat, param string) (core.Format, error) {
	var all []core.Format
	add := func(f trit.Format, field string) { all = append(all, core.Format{Format: f, Field: field}) }
	if rf != nil {
		f, err := rf.format(param)
		if err != nil {
			return core.Format{}, err
		}
		if !f.Empty() {
			all = append(all, f)
		}
	}
	if g.Grammar != "" {
		add(trit.Format{GBNF: g.Grammar}, "grammar")
	}
	if g.GuidedGrammar != nil {
		add(trit.Format{GBNF: *g.GuidedGrammar}, "guided_grammar")
	}
	if g.GuidedRegex != nil {
		add(trit.Format{Regexp: *g.GuidedRegex}, "guided_regex")
	}
	if g.GuidedChoice != nil {
		add(trit.Format{Choice: g.GuidedChoice}, "guided_choice")
	}
	schema := func(raw json.RawMessage, param string) error {
		if core.IsNull(raw) {
			return nil
		}
		raw, err := schemaOf(raw, param)
		if err == nil {
			add(trit.Format{Schema: raw}, param)
		}
		return err
	}
	if err := schema(g.JSONSchema, "json_schema"); err != nil {
		return core.Format{}, err
	}
	if err := schema(g.GuidedJSON, "guided_json"); err != nil {
		return core.Format{}, err
	}
	if s := g.Structured; s != nil {
		if err := schema(s.JSON, "structured_outputs"); err != nil {
			return core.Format{}, err
		}
		if s.Regex != nil {
			add(trit.Format{Regexp: *s.Regex}, "structured_outputs")
		}
		if s.Choice != nil {
			add(trit.Format{Choice: s.Choice}, "structured_outputs")
		}
		if s.Grammar != nil {
			add(trit.Format{GBNF: *s.Grammar}, "structured_outputs")
		}
		if core.IsTrue(s.JSONObject) {
			add(trit.Format{Object: true}, "structured_outputs")
		}
	}
	switch len(all) {
	case 0:
		return core.Format{}, nil
	case 1:
		if f := all[0]; f.Empty() { // an empty grammar, pattern or choice
			return core.Format{}, core.BadRequest(f.Field, "%s is empty", f.Field)
		}
		return all[0], nil
	}
	return core.Format{},
		core.BadRequest(all[1].Field, "%s and %s both say what the answer looks like; send one of them", all[0].Field,
			all[1].Field)
}

func (rf *responseFormat) format(param string) (core.Format, error) {
	schema, strict, at := rf.Schema, rf.Strict, param+".schema"
	if rf.JSONSchema != nil {
		schema, strict, at = rf.JSONSchema.Schema, rf.JSONSchema.Strict, param+".json_schema.schema"
	}
	switch rf.Type {
	case "text":
		return core.Format{}, nil
	case "json_object":
		if core.IsNull(schema) {
			return core.Format{Format: trit.Format{Object: true}, Field: param}, nil
		}
	case "json_schema":
		if core.IsNull(schema) {
			return core.Format{}, core.BadRequest(param, "%s has no schema", param)
		}
	default:
		return core.Format{}, core.BadRequest(param+".type", "%s.type is %.40q; want text, json_object or json_schema",
			param, rf.Type)
	}
	schema, err := schemaOf(schema, at)
	return core.Format{Format: trit.Format{Schema: schema, Strict: core.IsTrue(strict)}, Field: at}, err
}

// schemaOf returns a JSON Schema that is given as an object or as its text.
func schemaOf(raw json.RawMessage, param string) (json.RawMessage, error) {
	raw = bytes.TrimSpace(raw)
	if bytes.HasPrefix(raw, []byte(`"`)) {
		var text string
		if err := json.Unmarshal(raw, &text); err != nil {
			return nil, core.BadType(param, "a JSON Schema")
		}
		if raw = bytes.TrimSpace([]byte(text)); !json.Valid(raw) {
			return nil, core.BadRequest(param, "%s is a text that is not valid JSON", param)
		}
	}
	if !bytes.HasPrefix(raw, []byte("{")) && string(raw) != "true" && string(raw) != "false" {
		return nil, core.BadType(param, "a JSON Schema, which is an object")
	}
	var compact bytes.Buffer // so that a schema is recognised when it comes again
	if err := json.Compact(&compact, raw); err != nil {
		return nil, core.BadRequest(param, "%s: %v", param, err)
	}
	return compact.Bytes(), nil
}

// checkTool checks the name and the parameters of a function. param names the
// tool in the request.
func checkTool(f *chat.Function, param string) error {
	if f.Name == "" || len(f.Name) > 128 {
		return core.BadRequest(param+".name", "the name of a tool has %d bytes; want 1 to 128", len(f.Name))
	}
	for _, c := range []byte(f.Name) {
		if c != '_' && c != '-' && c != '.' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return core.BadRequest(param+".name", "the tool is called %q; a name has letters, digits, _, - and . only",
				f.Name)
		}
	}
	if core.IsNull(f.Parameters) {
		f.Parameters = nil
		return nil
	}
	if f.Parameters = bytes.TrimSpace(f.Parameters); f.Parameters[0] != '{' {
		return core.BadType(param+".parameters", "a JSON Schema, which is an object")
	}
	return nil
}
