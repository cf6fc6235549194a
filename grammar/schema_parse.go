package grammar

import (
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// typeSet is a set of JSON types. Numbers are two: integers and the others.
type typeSet uint8

const (
	typeNull typeSet = 1 << iota
	typeBoolean
	typeInteger
	typeFraction // a number that is not an integer
	typeString
	typeArray
	typeObject

	typeNumber = typeInteger | typeFraction
	typeAll    = typeNull | typeBoolean | typeNumber | typeString | typeArray | typeObject
)

var typeNames = map[string]typeSet{
	"null": typeNull, "boolean": typeBoolean, "integer": typeInteger, "number": typeNumber,
	"string": typeString, "array": typeArray, "object": typeObject,
}

// maxSchemas bounds the subschemas of a document.
const maxSchemas = 1 << 16

// schema is a parsed JSON Schema. Zero values mean that a keyword is absent.
type schema struct {
	id      int
	pointer string
	never   bool // the schema false

	types    typeSet
	values   []*jsonValue // enum or const; not nil if present
	set      valueSet     // of values
	excluded []*jsonValue // the complement of values: only made by negation
	barred   valueSet     // of excluded

	multipleOf  []*big.Rat
	low, high   *big.Rat
	lowOpen     bool // low is exclusive
	highOpen    bool
	minLength   int32
	maxLength   int32
	patterns    []pattern
	notPatterns []pattern

	prefixItems        []*schema
	items              *schema
	minItems, maxItems int32
	unique             bool
	contains           *schema
	minContains        int32
	maxContains        int32

	properties       []property
	named            map[string]*schema // properties by name
	matching         []patternProperty
	additional       *schema
	names            *schema // propertyNames
	required         []string
	minProps         int32
	maxProps         int32
	dependentNames   []dependentNames
	dependentSchemas []property

	allOf, anyOf, oneOf []*schema
	not                 *schema
	when, then, other   *schema // if, then, else

	unevaluatedProps, unevaluatedItems *schema // beside keywords that may evaluate some

	resource   *resource // that the schema belongs to
	reference  string
	referredAt int     // the id that the next schema gets where the reference stands
	dynamic    bool    // the reference depends on how the schema was reached
	target     *schema // of reference
	unresolved bool    // the reference leads out of the document

	negated [][]*schema // what negate found, if not nil
}

// pattern is a regular expression and its source.
type pattern struct {
	source string
	re     *re // nil if it cannot be an automaton
	// format: made from a format. It may be narrower than the format, and is not
	// checked against the values of enum and const.
	format bool
}

// patternKey identifies a pattern.
type patternKey struct {
	source string
	format bool
}

type property struct {
	name string
	s    *schema
}

type patternProperty struct {
	pattern pattern
	s       *schema
}

type dependentNames struct {
	name     string
	required []string
}

// newSchema returns a schema without constraints.
func (c *schemaCompiler) newSchema(pointer string) *schema {
	s := &schema{id: c.nextID, pointer: pointer, types: typeAll, maxLength: unbounded, maxItems: unbounded, maxProps: unbounded, minContains: 1, maxContains: unbounded}
	c.nextID++
	return s
}

// failSchema reports an error by panicking; compile recovers it.
func failSchema(pointer, keyword string, err error, format string, args ...any) {
	panic(&SchemaError{pointer, keyword, fmt.Sprintf(format, args...), err})
}

// parse parses the schema v, which belongs to a resource, and all schemas in it.
func (c *schemaCompiler) parse(d *schemaDocument, in *resource, pointer string, v *jsonValue) *schema {
	if s := d.byPointer[pointer]; s != nil {
		return s
	}
	if len(d.all) >= maxSchemas {
		failSchema(pointer, "", ErrTooLarge, "the document has more than %d schemas", maxSchemas)
	}
	s := c.newSchema(pointer)
	d.byPointer[pointer] = s
	d.all = append(d.all, s)
	if v.kind == jsonBool {
		s.never = !v.truth
		return s
	}
	if v.kind != jsonObject {
		failSchema(pointer, "", ErrSyntax, "a schema is an object, true or false")
	}
	p := &keywordParser{c: c, d: d, s: s, v: v}
	s.resource = d.enter(in, pointer, v)
	if v.fields["$ref"] != nil && d.old {
		p.keyword("$ref", v.fields["$ref"]) // the others beside it mean nothing
		return s
	}
	for _, k := range v.keys {
		if !p.absent(k, v.fields[k]) {
			p.keyword(k, v.fields[k])
		}
	}
	p.finish()
	return s
}

// keywordParser parses the keywords of one schema.
type keywordParser struct {
	c *schemaCompiler
	d *schemaDocument
	s *schema
	v *jsonValue
}

func (p *keywordParser) fail(keyword string, err error, format string, args ...any) {
	failSchema(p.s.pointer, keyword, err, format, args...)
}

func (p *keywordParser) keyword(k string, v *jsonValue) {
	s := p.s
	switch k {
	case "type":
		s.types = p.types(v)
	case "enum":
		if v.kind != jsonArray || len(v.items) == 0 && p.c.options.Strict {
			p.fail(k, ErrSyntax, "expected a list of values")
		}
		p.values(v.items)
	case "const":
		p.values([]*jsonValue{v})
	case "multipleOf":
		m := p.number(k, v)
		if m.Sign() <= 0 {
			p.fail(k, ErrSyntax, "expected a number above 0")
		}
		s.multipleOf = append(s.multipleOf, m)
	case "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum":
		p.bound(k, v)
	case "minLength":
		s.minLength = p.count(k, v)
	case "maxLength":
		s.maxLength = p.count(k, v)
	case "pattern":
		s.patterns = append(s.patterns, p.pattern(k, p.text(k, v)))
	case "format":
		p.format(p.text(k, v))
	case "items":
		if v.kind == jsonArray {
			p.tuple(v)
		} else {
			s.items = p.sub(v, k)
		}
	case "prefixItems":
		s.prefixItems = p.list(k, v)
	case "minItems":
		s.minItems = p.count(k, v)
	case "maxItems":
		s.maxItems = p.count(k, v)
	case "uniqueItems":
		s.unique = p.truth(k, v)
	case "contains":
		s.contains = p.sub(v, k)
	case "minContains":
		s.minContains = p.count(k, v)
	case "maxContains":
		s.maxContains = p.count(k, v)
	case "properties":
		s.properties = p.schemas(k, v)
		s.named = map[string]*schema{}
		for _, x := range s.properties {
			s.named[x.name] = x.s
			if of := v.fields[x.name].fields["required"]; of != nil && of.kind == jsonBool && of.truth {
				s.required = append(s.required, x.name) // draft 3
			}
		}
	case "patternProperties":
		for _, x := range p.schemas(k, v) {
			s.matching = append(s.matching, patternProperty{p.pattern(k, x.name), x.s})
		}
	case "additionalProperties":
		s.additional = p.sub(v, k)
	case "propertyNames":
		s.names = p.sub(v, k)
	case "required":
		s.required = append(s.required, p.texts(k, v)...)
	case "minProperties":
		s.minProps = p.count(k, v)
	case "maxProperties":
		s.maxProps = p.count(k, v)
	case "dependentRequired":
		p.object(k, v)
		for _, name := range v.keys {
			s.dependentNames = append(s.dependentNames, dependentNames{name, p.texts(k, v.fields[name])})
		}
	case "dependentSchemas":
		s.dependentSchemas = p.schemas(k, v)
	case "allOf":
		s.allOf = p.list(k, v)
	case "anyOf":
		s.anyOf = p.list(k, v)
	case "oneOf":
		s.oneOf = p.list(k, v)
	case "not":
		s.not = p.sub(v, k)
	case "if":
		s.when = p.sub(v, k)
	case "then":
		s.then = p.sub(v, k)
	case "else":
		s.other = p.sub(v, k)
	case "$ref":
		s.reference, s.referredAt = p.text(k, v), p.c.nextID
	case "$dynamicRef", "$recursiveRef":
		if s.reference == "" {
			s.reference, s.dynamic, s.referredAt = p.text(k, v), true, p.c.nextID
		}
	case "$anchor", "$dynamicAnchor":
		s.resource.anchors[p.text(k, v)] = s
		if k == "$dynamicAnchor" {
			p.d.dynamic[v.text]++
		}
	case "$recursiveAnchor":
		if p.truth(k, v) {
			s.resource.anchors[""] = s
			p.d.dynamic[""]++
		}
	case "$id", "id", "$schema", "additionalItems", "nullable", "discriminator", "unevaluatedProperties",
		"unevaluatedItems": // with what they belong to
	case "dependencies":
		p.dependencies(v)
	case "$defs", "definitions":
		p.schemas(k, v)
	default:
		p.unknown(k)
	}
}

// finish does what keywords mean together.
func (p *keywordParser) finish() {
	s := p.s
	if s.when == nil {
		s.then, s.other = nil, nil // without "if" they mean nothing
	}
	if s.contains == nil {
		s.minContains, s.maxContains = 1, unbounded
	}
	inPlace := s.allOf != nil || s.anyOf != nil || s.oneOf != nil || s.when != nil || s.reference != "" ||
		s.dependentSchemas != nil
	if v := p.v.fields["unevaluatedProperties"]; v != nil {
		switch u := p.sub(v, "unevaluatedProperties"); {
		case inPlace:
			s.unevaluatedProps = u
		case s.additional == nil:
			s.additional = u
		}
	}
	if v := p.v.fields["unevaluatedItems"]; v != nil {
		switch u := p.sub(v, "unevaluatedItems"); {
		case inPlace || s.contains != nil:
			s.unevaluatedItems = u
		case s.items == nil:
			s.items = u
		}
	}
	p.fold()
	p.openAPI()
}

func (p *keywordParser) sub(v *jsonValue, path ...string) *schema {
	pointer := p.s.pointer
	for _, k := range path {
		pointer += "/" + escapePointer(k)
	}
	return p.c.parse(p.d, p.s.resource, pointer, v)
}

func (p *keywordParser) list(k string, v *jsonValue) []*schema {
	if v.kind != jsonArray || len(v.items) == 0 {
		p.fail(k, ErrSyntax, "expected a list of schemas")
	}
	out := []*schema{}
	for i, x := range v.items {
		out = append(out, p.sub(x, k, strconv.Itoa(i)))
	}
	return out
}

func (p *keywordParser) object(k string, v *jsonValue) {
	if v.kind != jsonObject {
		p.fail(k, ErrSyntax, "expected an object")
	}
}

func (p *keywordParser) schemas(k string, v *jsonValue) []property {
	p.object(k, v)
	out := []property{}
	for _, name := range v.keys {
		out = append(out, property{name, p.sub(v.fields[name], k, name)})
	}
	return out
}

func (p *keywordParser) text(k string, v *jsonValue) string {
	if v.kind != jsonString {
		p.fail(k, ErrSyntax, "expected a string")
	}
	return v.text
}

func (p *keywordParser) texts(k string, v *jsonValue) []string {
	if v.kind != jsonArray {
		p.fail(k, ErrSyntax, "expected a list of strings")
	}
	out := []string{}
	for _, x := range v.items {
		out = append(out, p.text(k, x))
	}
	return out
}

func (p *keywordParser) truth(k string, v *jsonValue) bool {
	if v.kind != jsonBool {
		p.fail(k, ErrSyntax, "expected true or false")
	}
	return v.truth
}

func (p *keywordParser) number(k string, v *jsonValue) *big.Rat {
	if v.kind != jsonNumber {
		p.fail(k, ErrSyntax, "expected a number")
	}
	return v.number
}

func (p *keywordParser) count(k string, v *jsonValue) int32 {
	n := p.number(k, v)
	if !n.IsInt() || n.Sign() < 0 {
		p.fail(k, ErrSyntax, "expected an integer of at least 0")
	}
	if n.Num().Cmp(big.NewInt(maxCount)) > 0 {
		if strings.HasPrefix(k, "max") {
			return unbounded // no text gets there
		}
		p.fail(k, ErrTooLarge, "at most %d is possible", maxCount)
	}
	return int32(n.Num().Int64())
}

func (p *keywordParser) types(v *jsonValue) typeSet {
	items := []*jsonValue{v}
	if v.kind == jsonArray {
		items = v.items
	}
	var types typeSet
	for _, x := range items {
		t, ok := typeNames[p.text("type", x)]
		if x.text == "any" && !p.c.options.Strict { // draft 3
			t, ok = typeAll, true
		}
		if !ok {
			p.fail("type", ErrSyntax, "unknown type %q", x.text)
		}
		types |= t
	}
	return types
}

// values keeps the values that were also allowed before.
func (p *keywordParser) values(values []*jsonValue) {
	if p.s.values != nil {
		before := newValueSet(p.s.values)
		values = slices.DeleteFunc(slices.Clone(values), func(v *jsonValue) bool { return !before.has(v) })
	}
	p.c.meter.Spend(len(values))
	p.s.values = distinctValues(values)
	p.s.set = newValueSet(p.s.values)
}

// pattern returns the expression of a pattern.
func (p *keywordParser) pattern(k, source string) pattern {
	e, err := parseRegexp(source)
	if err == nil {
		e, err = withoutLooks(p.c.meter, e)
	}
	switch {
	case err == nil:
	case errors.Is(err, ErrUnsupported), errors.Is(err, ErrTooLarge):
		p.c.relax(p.s.pointer, k, err, "%q", clip([]byte(source)))
	default:
		p.fail(k, err, "%q", clip([]byte(source)))
	}
	return pattern{source: source, re: e}
}

// format adds what a format demands of strings, and of the numbers of OpenAPI's
// formats.
func (p *keywordParser) format(name string) {
	switch name {
	case "int32":
		p.s.atLeast(big.NewRat(-1<<31, 1), false)
		p.s.atMost(big.NewRat(1<<31-1, 1), false)
		return
	case "int64":
		p.s.atLeast(new(big.Rat).SetInt64(-1<<63), false)
		p.s.atMost(new(big.Rat).SetInt64(1<<63-1), false)
		return
	case "float", "double":
		return // what is generated fits both
	}
	if f, ok := formatPattern(name); ok {
		p.s.patterns = append(p.s.patterns, f)
	} else {
		p.d.foreign(p.s, "format", name)
	}
}

func (s *schema) atLeast(n *big.Rat, open bool) {
	if s.low != nil {
		if c := n.Cmp(s.low); c < 0 || c == 0 && s.lowOpen {
			return
		}
	}
	s.low, s.lowOpen = n, open
}

func (s *schema) atMost(n *big.Rat, open bool) {
	if s.high != nil {
		if c := n.Cmp(s.high); c > 0 || c == 0 && s.highOpen {
			return
		}
	}
	s.high, s.highOpen = n, open
}
