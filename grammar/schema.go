package grammar

import (
	"encoding/binary"
	"fmt"
	"slices"

	"trit/internal/textfile"
)

// SchemaOptions changes how a JSON Schema becomes a grammar.
type SchemaOptions struct {
	Whitespace Whitespace
	// OpenObjects allows other properties in objects whose schema lists some and does
	// not mention additionalProperties. JSON Schema allows them, but models rarely
	// should invent any, so by default they are left out.
	OpenObjects bool
	// Strict refuses unknown keywords and formats, which otherwise are annotations, schemas that demand themselves of
	// the same value, which otherwise adds nothing, and what a grammar cannot hold to, which otherwise is relaxed (see
	// [Relaxation]).
	Strict bool
}

// Limits on what schemas become.
const (
	maxForms       = 256     // alternatives of a schema
	maxConjuncts   = 1 << 14 // distinct combinations of schemas
	maxFormWork    = 1 << 18
	maxProductDFA  = 1 << 14 // states of a string's automaton
	maxSchemaBytes = 8 << 20
)

// FromJSONSchema returns the grammar of JSON texts that a schema of draft 2020-12
// describes. Every text of the grammar is valid unless [Grammar.Relaxed] names a demand that it does not
// hold to; not every valid text is in the grammar, because
//
//   - properties come in the order in which the document has them, where "properties" stands among "allOf", "$ref",
//     "anyOf" and the like, then required ones that are not listed; additional ones may come everywhere after
//     the last that is required, those that begin with "$" before the first too; their names might repeat (the last
//     counts then, as parsers of JSON have it);
//   - objects are closed unless the schema says otherwise (see [SchemaOptions]);
//   - numbers have up to 18 digits before the point and up to 20 after it; with multipleOf or a bound other
//     than 0 they have up to 15 in all, unless a range needs more, and no exponent;
//   - strings under a pattern or format are written in their usual form, others with any
//     escapes; values of enum and const as in the schema.
//
// All keywords of the draft are known, and so are those of older drafts and of OpenAPI that mean the same
// under another name: lists of schemas in items with additionalItems, definitions, dependencies,
// exclusiveMinimum and exclusiveMaximum that are true or false, id, $recursiveRef, nullable, and the
// mapping of discriminator. Beside $ref other keywords count, except in a document that says with
// $schema that it is of draft 7 or older. Other keywords are annotations. [CompileRegexp] says which
// expressions patterns may be; they match anywhere in the string, as in ECMA-262. The formats that
// mean something are date, time, date-time, duration, email, hostname, ipv4, ipv6, uri, uri-reference,
// their international forms, uri-template, uuid, json-pointer, relative-json-pointer, and OpenAPI's int32 and int64.
//
// Some keywords can be held to only where a grammar can express what they mean there; elsewhere they are
// relaxed, or an error if the options are strict:
// oneOf where its branches exclude each other or can be made to with not; not and if where
// the negated schema consists of keywords whose opposite is expressible (type, enum,
// const, ranges and lengths, pattern, required, properties, contains, and combinations);
// uniqueItems for at most one item or items from a short list of values;
// contains where a list has only one, without uniqueItems; $ref and $dynamicRef within the document, the latter if one
// schema has its $dynamicAnchor. Beside enum and const everything is held to.
//
// Errors are a [*SchemaError] that wraps [ErrSyntax], [ErrTooLarge] or, only if the options are strict,
// [ErrUnsupported]. A schema that nothing satisfies is [ErrEmpty].
func FromJSONSchema(document []byte, options SchemaOptions) (*Grammar, error) {
	return Compiler{}.FromJSONSchema(document, options)
}

// FromJSONSchema is [FromJSONSchema] until the context ends.
func (c Compiler) FromJSONSchema(document []byte, options SchemaOptions) (g *Grammar, err error) {
	s := newSchemaCompiler(options, c.meter())
	defer stop(&err)
	root, err := s.add(textfile.Trim(document))
	if err != nil {
		return nil, err
	}
	body, err := s.expr(root)
	if err != nil {
		return nil, err
	}
	s.json.rules[0] = production{"JSON Schema", body}
	return s.grammar(map[string]*schema{"": root})
}

// schemaCompiler turns schemas into rules. What applies to one value is a list of
// schemas that all must hold (the schema itself, the properties of allOf's branches, …): a conjunction.
type schemaCompiler struct {
	options SchemaOptions
	json    *jsonRules
	nextID  int
	tool    string // whose parameters are being compiled
	relaxed []Relaxation

	// What has been found out, so that the schemas made on the way are made once.
	formsOf     map[string][]*form // by conjunction
	emptyOf     map[string]bool    // by conjunction
	strings     map[stringsKey]*dfa
	searches    map[patternKey]*dfa
	stringRules map[string]*expr // by what is demanded
	choices     map[*schema][]choice
	opposites   map[*schema]*schema

	active  map[string]bool // conjunctions whose emptiness is being found out
	work    int
	checker // of the values of enum and const; its meter counts all work
}

func newSchemaCompiler(options SchemaOptions, m *meter) *schemaCompiler {
	return &schemaCompiler{
		options: options, checker: checker{meter: m}, json: newJSONRules(options.Whitespace),
		formsOf: map[string][]*form{}, emptyOf: map[string]bool{}, strings: map[stringsKey]*dfa{},
		searches: map[patternKey]*dfa{}, stringRules: map[string]*expr{},
		choices: map[*schema][]choice{}, opposites: map[*schema]*schema{}, active: map[string]bool{},
	}
}

// grammar compiles the rules. roots are the schemas that texts can be checked against, by tool.
func (c *schemaCompiler) grammar(roots map[string]*schema) (*Grammar, error) {
	g, err := newGrammar(c.meter, c.json.rules)
	if err != nil {
		return nil, err
	}
	g.relaxed, g.roots = c.relaxed, roots
	return g, nil
}

// add parses a document.
func (c *schemaCompiler) add(document []byte) (root *schema, err error) {
	if len(document) > maxSchemaBytes {
		return nil, fmt.Errorf("%w: the JSON Schema has %d bytes, at most %d are possible", ErrTooLarge, len(document),
			maxSchemaBytes)
	}
	v, err := parseJSON("JSON Schema", document)
	if err != nil {
		return nil, err
	}
	defer recoverSchema(&err)
	d := newSchemaDocument(v)
	root = c.parse(d, d.main, "", v)
	c.resolve(d)
	return root, c.refuseUnknown(d)
}

// expr returns the texts of values that satisfy s.
func (c *schemaCompiler) expr(s *schema) (e *expr, err error) {
	defer recoverSchema(&err)
	return c.value([]*schema{s}), nil
}

func recoverSchema(err *error) {
	if r := recover(); r != nil {
		e, ok := r.(*SchemaError)
		if !ok {
			panic(r)
		}
		*err = e
	}
}

// key identifies a conjunction.
func key(list []*schema) string {
	ids := make([]int, len(list))
	for i, s := range list {
		ids[i] = s.id
	}
	slices.Sort(ids)
	var b []byte
	for _, id := range slices.Compact(ids) {
		b = binary.AppendUvarint(b, uint64(id))
	}
	return string(b)
}

// standsFor returns a conjunction that means the same, in which schemas that only refer to others, as a list of
// properties often does, are those others: so these become one rule.
func standsFor(list []*schema) []*schema {
	out := list
	for i, s := range list {
		if x := s.meant(); x != s {
			if &out[0] == &list[0] {
				out = slices.Clone(list)
			}
			out[i] = x
		}
	}
	return out
}

// meant returns the schema that s refers to, and that refers no further, or s if it says more than that.
func (s *schema) meant() *schema {
	for {
		x := s.target
		if x == nil && len(s.allOf) == 1 {
			x = s.allOf[0]
		} else if len(s.allOf) > 0 {
			return s
		}
		if x == nil || s.never || s.unresolved || s.types&x.types != x.types || s.values != nil || s.demands() ||
			len(s.inPlace()) > 1 {
			return s
		}
		s = x
	}
}

// where returns the place to name in an error about a conjunction.
func where(list []*schema) string {
	if len(list) == 0 {
		return ""
	}
	return list[0].pointer
}
