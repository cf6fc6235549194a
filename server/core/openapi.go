package core

import (
	"encoding"
	"encoding/json"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"trit/sample"
)

// Doc says of a route what its document cannot derive: what it is for, and the types of what it takes
// and answers, as zero values; nil where that is no JSON.
type Doc struct {
	Summary string
	Body    any
	// Needs are the fields that the body must have, with spaces between them.
	Needs string
	Reply any
	// Pieces are what a stream has, one after the other; Stream is its media type.
	Pieces []any
	Stream string
	Query  []string // the names of parameters
}

// The media types of streams.
const (
	EventStream = "text/event-stream"
	LineStream  = "application/x-ndjson"
)

// Schema is a JSON Schema.
type Schema = map[string]any

// Described is a type with a JSON form of its own, which reflection does not show.
type Described interface{ Schema() Schema }

// OpenAPI returns the OpenAPI document of routes: the schemas of requests and answers are those of the
// types that handlers decode and encode, with the limits and rules of the tables. docs are by pattern.
func OpenAPI(routes []Route, docs map[string]Doc, version string) ([]byte, error) {
	b := schemaBuilder{components: Schema{}}
	paths := map[string]Schema{}
	for _, rt := range routes {
		method, path, _ := strings.Cut(rt.Pattern, " ")
		path, parameters := openPath(path)
		doc := docs[rt.Pattern]
		if doc.Summary == "" {
			doc.Summary = rt.Pattern
		}
		for _, name := range doc.Query {
			parameters = append(parameters, Schema{"name": name, "in": "query", "schema": Schema{"type": "string"}})
		}
		op := Schema{"summary": doc.Summary, "operationId": operationID(rt.Pattern), "tags": []string{rt.Family.Name},
			"responses": b.responses(&rt, &doc)}
		if len(parameters) > 0 {
			op["parameters"] = parameters
		}
		if doc.Body != nil {
			body := b.request(doc.Body)
			if doc.Needs != "" {
				body["required"] = strings.Fields(doc.Needs)
			}
			op["requestBody"] = Schema{"required": true, "content": Schema{"application/json": Schema{"schema": body}}}
		}
		if rt.Access == AccessOpen {
			op["security"] = []Schema{}
		}
		if paths[path] == nil {
			paths[path] = Schema{}
		}
		paths[path][strings.ToLower(method)] = op
	}
	return json.Marshal(Schema{
		"openapi":  "3.1.0",
		"info":     Schema{"title": "Trit", "version": version, "description": "The APIs of OpenAI, Ollama, Anthropic and llama-server, with ternary models."},
		"paths":    paths,
		"security": []Schema{{}, {"bearer": []string{}}, {"apiKey": []string{}}},
		"components": Schema{"schemas": b.components, "securitySchemes": Schema{
			"bearer": Schema{"type": "http", "scheme": "bearer"}, "apiKey": Schema{"type": "apiKey", "in": "header", "name": "x-api-key"}}},
	})
}

// wildcards are the parts of a pattern that stand for parts of paths.
var wildcards = regexp.MustCompile(`\{(\w*)(\.\.\.|\$)?\}`)

// openPath returns a path as OpenAPI writes it, and its parameters.
func openPath(pattern string) (path string, parameters []Schema) {
	for _, m := range wildcards.FindAllStringSubmatch(pattern, -1) {
		if m[1] != "" {
			parameters = append(parameters, Schema{"name": m[1], "in": "path", "required": true, "schema": Schema{"type": "string"}})
		}
	}
	return strings.ReplaceAll(wildcards.ReplaceAllString(pattern, "{$1}"), "{}", ""), parameters
}

// operationID returns a name of a route for programs that make clients of the document.
func operationID(pattern string) string {
	if strings.HasSuffix(pattern, "/") {
		pattern += "all"
	}
	return strings.Trim(regexp.MustCompile(`\W+`).ReplaceAllString(strings.ToLower(pattern), "_"), "_")
}

// schemaBuilder makes schemas of types. Types with a name are components.
type schemaBuilder struct {
	components Schema
	input      bool
}

func (b *schemaBuilder) request(v any) Schema { return b.top(v, true) }

func (b *schemaBuilder) reply(v any) Schema { return b.top(v, false) }

func (b *schemaBuilder) top(v any, request bool) Schema {
	b.input = request
	var c *Contract
	if bound, ok := reflect.New(reflect.TypeOf(v)).Interface().(Bound); ok && request {
		c = ContractOf(bound.API())
	}
	return b.of(reflect.TypeOf(v), "", c)
}

// responses returns the answers of a route.
func (b *schemaBuilder) responses(rt *Route, doc *Doc) Schema {
	content := Schema{}
	if doc.Reply != nil {
		content["application/json"] = Schema{"schema": b.reply(doc.Reply)}
	}
	if len(doc.Pieces) > 0 {
		var pieces []Schema
		for _, p := range doc.Pieces {
			pieces = append(pieces, b.reply(p))
		}
		// What a stream is as a whole no schema says; this is each of its pieces.
		content[doc.Stream] = Schema{"x-trit-pieces": Schema{"anyOf": pieces}}
	}
	ok := Schema{"description": "the answer"}
	if len(content) > 0 {
		ok["content"] = content
	}
	failed := Schema{"description": "what is wrong, in the form of the API"}
	if rt.Family.Error != nil {
		failed["content"] = Schema{"application/json": Schema{"schema": b.reply(rt.Family.Error)}}
	}
	return Schema{"200": ok, "default": failed}
}

// of returns the schema of a type. name is the field that it is in.
func (b *schemaBuilder) of(t reflect.Type, name string, c *Contract) Schema {
	if t.Kind() == reflect.Pointer {
		return b.orNull(b.of(t.Elem(), name, c))
	}
	zero := reflect.New(t).Interface()
	limit, limited := LimitOf(name)
	limited = limited && b.input && name != ""
	if d, ok := zero.(Described); ok {
		return d.Schema()
	}
	switch zero.(type) {
	case *json.RawMessage:
		return Schema{}
	case *time.Time:
		return Schema{"type": "string", "format": "date-time"}
	}
	if _, ok := zero.(json.Unmarshaler); ok && b.input {
		return Schema{}
	}
	if _, ok := zero.(json.Marshaler); ok && !b.input {
		return Schema{}
	}
	if _, ok := zero.(encoding.TextMarshaler); ok {
		return Schema{"type": "string"}
	}
	switch t.Kind() {
	case reflect.String:
		s := Schema{"type": "string"}
		if limited && limit.Text < wholeBody {
			s["maxLength"] = limit.Text
		}
		return s
	case reflect.Bool:
		return Schema{"type": "boolean"}
	case reflect.Float32, reflect.Float64:
		return b.number("number", name)
	case reflect.Slice:
		items := b.of(t.Elem(), name, nil)
		if k := t.Elem().Kind(); !b.input && (k == reflect.Map || k == reflect.Slice) {
			items = b.orNull(items) // where there is none of a list
		}
		s := Schema{"type": "array", "items": items}
		if limited && limit.List < wholeBody {
			s["maxItems"] = limit.List
		}
		return s
	case reflect.Map:
		s := Schema{"type": "object", "additionalProperties": b.of(t.Elem(), "", nil)}
		if limited && limit.List < wholeBody {
			s["maxProperties"] = limit.List
		}
		return s
	case reflect.Struct:
		return b.object(t, c)
	case reflect.Interface:
		return Schema{}
	}
	return b.number("integer", name)
}

// number returns the schema of a number, with the range that a parameter of sampling has.
func (b *schemaBuilder) number(kind, name string) Schema {
	s := Schema{"type": kind}
	if p, ok := sample.LookupParam(name); ok && b.input {
		s["minimum"], s["maximum"], s["description"] = p.Min, p.Max, p.Help
	}
	return s
}

// orNull returns a schema that null satisfies as well.
func (b *schemaBuilder) orNull(s Schema) Schema {
	if kind, ok := s["type"].(string); ok {
		s = maps.Clone(s)
		s["type"] = []string{kind, "null"}
		return s
	}
	if len(s) == 0 {
		return s
	}
	return Schema{"anyOf": []Schema{s, {"type": "null"}}}
}

// typeNames takes the paths of packages and what else a component may not have out of a type's name.
var typeNames = regexp.MustCompile(`[\w/.-]*/|\W+`)

// object returns the schema of a struct: in place if it has no name, and otherwise a reference.
func (b *schemaBuilder) object(t reflect.Type, c *Contract) Schema {
	if t.Name() == "" {
		return b.fields(t, c)
	}
	name := strings.Trim(typeNames.ReplaceAllString(t.String(), "_"), "_")
	if b.input {
		name += "_in"
	}
	if _, known := b.components[name]; !known {
		b.components[name] = nil // a type may be within itself
		b.components[name] = b.fields(t, c)
	}
	return Schema{"$ref": "#/components/schemas/" + name}
}

// fields returns the schema of the fields of a struct. Answers have no others, and those that are
// never left out; requests may leave out all, and have null for them.
func (b *schemaBuilder) fields(t reflect.Type, c *Contract) Schema {
	properties, required := Schema{}, []string{}
	b.collect(t, properties, &required)
	s := Schema{"type": "object", "properties": properties}
	if !b.input {
		s["additionalProperties"] = false
		if len(required) > 0 {
			s["required"] = required
		}
	}
	if c == nil {
		return s
	}
	for treatment, says := range map[Treatment]string{Ignored: "ignored, and named in the header " + IgnoredHeader,
		Inert: "of no effect", Refused: "refused: "} {
		for _, name := range c.Fields(treatment) {
			if rule := c.Rule(name); !strings.Contains(name, ".") {
				properties[name] = Schema{"description": says + rule.Remedy}
			}
		}
	}
	return s
}

func (b *schemaBuilder) collect(t reflect.Type, properties Schema, required *[]string) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		inner := f.Type
		switch {
		case name == "-" || !f.IsExported() && !f.Anonymous:
		case f.Anonymous && name == "":
			if inner.Kind() == reflect.Pointer { // what is in it may be absent
				b.collect(inner.Elem(), properties, new([]string))
			} else {
				b.collect(inner, properties, required)
			}
		case name != "":
			s := b.of(inner, name, nil)
			if b.input {
				s = b.orNull(s)
			}
			properties[name] = s
			if !slices.Contains(strings.Split(options, ","), "omitempty") && !slices.Contains(strings.Split(options, ","), "omitzero") {
				*required = append(*required, name)
			}
		}
	}
}
