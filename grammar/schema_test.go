package grammar

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

func schemaGrammar(t testing.TB, src string, options SchemaOptions) *Grammar {
	t.Helper()
	g, err := FromJSONSchema([]byte(src), options)
	if err != nil {
		t.Fatalf("%s: %v", src, err)
	}
	return g
}

func TestSchemaKeywords(t *testing.T) {
	type list = []string
	for _, tc := range []struct {
		schema  string
		yes, no list
	}{
		{`true`, list{`null`, `{"a":[1,"x"]}`}, list{`nul`, `{a:1}`}},
		{`{}`, list{`-1.5e+10`, `"é\u00e9\uD83D\uDE00"`}, list{`"\uD83D"`, `01`, `.5`, "\"\n\""}},
		{`{"type":"null"}`, list{`null`}, list{`true`, `0`}},
		{`{"type":"boolean"}`, list{`true`, `false`}, list{`null`, `"true"`}},
		{`{"type":["integer","string"]}`, list{`-12`, `"x"`}, list{`1.5`, `null`}},
		{`{"type":"number"}`, list{`0`, `-0.5`, `1e5`}, list{`"1"`, `1.`, `+1`}},
		{`{"enum":["a",1,null,{"x":[true]}]}`, list{`"a"`, `1`, `null`, `{"x":[true]}`, `{ "x": [ true]}`}, list{`"b"`, `2`, `{"x":[false]}`, `[true]`}},
		{`{"enum":["a","bb",1,2],"type":"string","minLength":2}`, list{`"bb"`}, list{`"a"`, `1`}},
		{`{"const":"é\n"}`, list{`"é\n"`}, list{`"é"`}},
		{`{"enum":[[1],[1,1],[2,2,3]],"uniqueItems":true}`, list{`[1]`}, list{`[1,1]`, `[2,2,3]`}},
		{`{"type":"integer","minimum":-5,"maximum":12}`, list{`-5`, `-1`, `0`, `9`, `12`}, list{`-6`, `13`, `-0`, `05`, `1.0`, `100`}},
		{`{"type":"integer","exclusiveMinimum":9,"exclusiveMaximum":1001}`, list{`10`, `99`, `1000`}, list{`9`, `1001`, `8`}},
		{`{"type":"integer","minimum":0.5,"maximum":1.5}`, list{`1`}, list{`0`, `2`}},
		{`{"type":"integer","minimum":123456789012345678901}`, list{`123456789012345678901`, `999999999999999999999`}, list{`123456789012345678900`, `99`}},
		{`{"type":"number","minimum":0.125,"maximum":10}`, list{`0.125`, `0.13`, `1`, `9.999`, `10`, `10.0`}, list{`0.12`, `0.1249`, `10.01`, `0`, `11`, `-1`}},
		{`{"type":"number","minimum":0}`, list{`0`, `1e-6`, `0.5E+3`, `12.25`}, list{`-1`, `-0.5`, `-1e3`}},
		{`{"type":"number","exclusiveMinimum":0}`, list{`1e-6`, `0.001`, `10.0`, `0.5E+3`}, list{`0`, `0.0`, `0e1`, `00.1`, `-1`}},
		{`{"type":"number","maximum":0}`, list{`0`, `-1e3`, `-0.5`}, list{`1`, `0.1`, `1e-6`}},
		{`{"type":"number","exclusiveMaximum":0}`, list{`-1e3`, `-0.5`}, list{`0`, `-0`, `-0.0`, `1`}},
		{`{"type":"integer","minimum":0}`, list{`0`, `12`}, list{`-1`, `1e2`}},
		{`{"enum":[2.0,1e2]}`, list{`2`, `2.0`, `100`, `1e2`}, list{`1`, `20`}},
		{`{"type":"number","exclusiveMinimum":-2.5,"exclusiveMaximum":0}`, list{`-2.49`, `-0.1`, `-2`, `-1.5`}, list{`-2.5`, `-2.50`, `0`, `-0`, `-0.0`, `-3`, `0.1`}},
		{`{"type":"number","minimum":99.5}`, list{`99.5`, `100`, `12345678`, `99.6`}, list{`99.4`, `9`, `-100`}},
		{`{"type":"integer","multipleOf":7,"minimum":-21}`, list{`-21`, `0`, `7`, `700`}, list{`1`, `-28`, `20`}},
		{`{"type":"number","multipleOf":0.25}`, list{`0`, `0.25`, `-1.75`, `3`, `3.5`}, list{`0.3`, `0.125`, `1e1`}},
		{`{"type":"number","multipleOf":2.5,"allOf":[{"multipleOf":2}]}`, list{`10`, `-20`}, list{`2.5`, `4`, `5`}},
		{`{"type":"string","minLength":2,"maxLength":3}`, list{`"ab"`, `"é日😀"`, `"\n\u00e9"`, `"\uD83D\uDE00x"`}, list{`"a"`, `"abcd"`, `""`}},
		{`{"type":"string","pattern":"b+$"}`, list{`"ab"`, `"b"`, `"é\nbb"`}, list{`"ba"`, `""`}},
		{`{"type":"string","pattern":"^[\"\\\\]$"}`, list{`"\""`, `"\\"`}, list{`"a"`}},
		{`{"type":"string","pattern":"^a","maxLength":2,"allOf":[{"pattern":"b$"}]}`, list{`"ab"`}, list{`"a"`, `"axb"`, `"b"`}},
		{`{"type":"string","format":"date"}`, list{`"2024-02-29"`, `"1999-12-31"`}, list{`"2023-02-29"`, `"1900-02-29"`, `"2024-13-01"`, `"2024-1-1"`}},
		{`{"type":"string","format":"time"}`, list{`"23:59:59Z"`, `"00:00:00.123+05:30"`}, list{`"24:00:00Z"`, `"12:00:00"`}},
		{`{"type":"string","format":"date-time"}`, list{`"2000-02-29T12:00:00Z"`}, list{`"2000-02-29"`}},
		{`{"type":"string","format":"duration"}`, list{`"P1W"`, `"P1Y2M3DT4H5M6S"`, `"PT1S"`}, list{`"P"`, `"PT"`, `"P1S"`}},
		{`{"type":"string","format":"email"}`, list{`"a.b+c@example.com"`}, list{`"a@"`, `"@b.c"`, `"a..b@c.d"`}},
		{`{"type":"string","format":"hostname"}`, list{`"a-b.example"`}, list{`"-a"`, `"a-"`, `"a..b"`}},
		{`{"type":"string","format":"ipv4"}`, list{`"192.168.0.255"`}, list{`"1.2.3"`, `"256.1.1.1"`, `"01.1.1.1"`}},
		{`{"type":"string","format":"ipv6"}`, list{`"::"`, `"2001:db8::1"`, `"1:2:3:4:5:6:7:8"`}, list{`":"`, `"1::2::3"`, `"12345::"`}},
		{`{"type":"string","format":"uuid"}`, list{`"123e4567-e89b-12d3-a456-426614174000"`}, list{`"123e4567"`}},
		{`{"type":"string","format":"uri"}`, list{`"https://example.com:80/a%20b?q=1#f"`, `"mailto:a@b"`}, list{`"//x"`, `"a b:c"`, `"x:%zz"`}},
		{`{"type":"string","format":"uri-reference"}`, list{`"/a/b?c"`, `"a"`, `""`, `"http://x"`}, list{`"a b"`}},
		{`{"type":"string","format":"json-pointer"}`, list{`""`, `"/a~1b/0"`}, list{`"a"`, `"/~2"`}},
		// Listed values must certainly be of their format, and certainly not of one that is excluded.
		{`{"enum":["1.2.3.4","x",5],"format":"ipv4"}`, list{`"1.2.3.4"`, `5`}, list{`"x"`}},
		{`{"enum":["x",5],"not":{"type":"string","format":"ipv4"}}`, list{`5`}, list{`"x"`}},
		{`{"enum":["x","yyy","1.2.3.4"],"if":{"format":"ipv4"},"then":{"minLength":3},"else":{"maxLength":1}}`, list{`"1.2.3.4"`}, list{`"x"`, `"yyy"`}},
		{`{"enum":["x","1.2.3.4",7],"oneOf":[{"type":"string","format":"ipv4"},{"type":"integer"}]}`, list{`"1.2.3.4"`, `7`}, list{`"x"`}},
		{`{"enum":[["x"],["1.2.3.4"],[]],"contains":{"format":"ipv4"}}`, list{`["1.2.3.4"]`}, list{`["x"]`, `[]`}},
		{`{"enum":[["x"],["1.2.3.4"],[]],"contains":{"format":"ipv4"},"minContains":0,"maxContains":0}`, list{`[]`}, list{`["x"]`, `["1.2.3.4"]`}},
		{`{"properties":{"a":{"const":"x","format":"ipv4"},"b":{"const":1}},"type":"object"}`, list{`{"b":1}`, `{}`}, list{`{"a":"x"}`, `{"a":"x","b":1}`}},
		{`{"type":"array","items":{"enum":["x","1.2.3.4"],"format":"ipv4"},"uniqueItems":true}`, list{`[]`, `["1.2.3.4"]`}, list{`["x"]`}},
		{`{"type":"integer","format":"int32"}`, list{`2147483647`, `-2147483648`}, list{`2147483648`}},
		{`{"type":"array"}`, list{`[]`, `[1,"a",[]]`}, list{`[1,]`, `{}`}},
		{`{"type":"array","items":{"type":"integer"},"minItems":1,"maxItems":3}`, list{`[1]`, `[1, 2,3]`}, list{`[]`, `[1,2,3,4]`, `["a"]`}},
		{`{"type":"array","prefixItems":[{"type":"null"},{"type":"boolean"}],"items":{"type":"integer"},"maxItems":4}`, list{`[]`, `[null]`, `[null,true,1,2]`}, list{`[true]`, `[null,1]`, `[null,true,1,2,3]`}},
		{`{"type":"array","prefixItems":[{"type":"null"}],"items":false,"minItems":1}`, list{`[null]`}, list{`[]`, `[null,1]`}},
		{`{"type":"array","items":{"enum":["a","b","c"]},"uniqueItems":true,"minItems":2}`, list{`["b","a"]`, `["a","b","c"]`}, list{`["a"]`, `["a","a"]`}},
		{`{"type":"array","uniqueItems":true,"maxItems":1}`, list{`[]`, `[5]`}, list{`[5,5]`, `[1,2]`}},
		{`{"type":"array","contains":{"type":"null"},"minItems":2}`, list{`[null,1]`, `[1,2,null]`, `[null,null]`}, list{`[null]`, `[1,2]`}},
		{`{"type":"array","items":{"type":"integer"},"contains":{"minimum":10},"minContains":2,"maxContains":2}`, list{`[10,11]`, `[1,10,2,30]`}, list{`[10]`, `[10,11,12]`, `[1]`}},
		{`{"type":"object"}`, list{`{}`, `{"a":1,"b":{}}`, "{\n  \"a\": 1\n}"}, list{`[]`, `{"a"}`, `{"a":1,}`}},
		{`{"properties":{"a":{"type":"integer"},"b":{"type":"null"}},"required":["b"],"type":"object"}`, list{`{"b":null}`, `{"a":1,"b":null}`, "{ \"a\": 1, \"b\": null}"}, list{`{}`, `{"a":1}`, `{"b":null,"a":1}`, `{"b":null,"c":1}`}},
		{`{"type":"object","required":["x"],"properties":{"a":{"type":"null"}}}`, list{`{"x":5}`, `{"a":null,"x":"y"}`}, list{`{"a":null}`}},
		{`{"type":"object","properties":{"a":{"type":"null"}},"additionalProperties":{"type":"integer"}}`, list{`{"b":1,"c":2}`, `{"a":null,"aa":3}`, `{"b":1,"a":null,"c":2}`, `{}`}, list{`{"b":null}`, `{"a":1}`, `{"a":null,"b":1,"a":null}`}},
		{`{"type":"object","properties":{"a":true,"b":{"type":"null"},"c":{"type":"null"}},"additionalProperties":{"type":"integer"},"required":["b"]}`,
			list{`{"b":null}`, `{"$schema":1,"b":null}`, `{"$x":1,"$y":2,"a":[],"b":null,"$z":3,"d":4,"c":null,"e":5}`},
			list{`{"d":1,"b":null}`, `{"$schema":1}`, `{"a":1,"$schema":1,"b":null}`, `{"b":null,"a":1}`, `{"b":null,"c":null,"c":null}`, `{"$schema":"x","b":null}`}},
		// Properties come in the order of the document, conditions last.
		{`{"allOf":[{"$ref":"#/$defs/a"},{"properties":{"b":{"type":"null"}}}],"$defs":{"a":{"properties":{"a":{"type":"null"}},"additionalProperties":true}},"additionalProperties":true}`,
			list{`{"a":null,"b":null}`, `{"b":null}`}, list{`{"a":1}`, `{"b":1}`}},
		{`{"type":"object","properties":{"a":{"type":"null"}},"allOf":[{"properties":{"b":{"type":"null"}}}]}`,
			list{`{"a":null,"b":null}`}, list{`{"b":null,"a":null}`}},
		{`{"type":"object","anyOf":[{"properties":{"b":{"type":"null"}}}],"properties":{"a":{"type":"null"}}}`,
			list{`{"b":null,"a":null}`}, list{`{"a":null,"b":null}`}},
		{`{"type":"object","properties":{"a":{"type":"null"}},"$ref":"#/$defs/b","$defs":{"b":{"properties":{"b":{"type":"null"}}}}}`,
			list{`{"a":null,"b":null}`}, list{`{"b":null,"a":null}`}},
		{`{"type":"object","$ref":"#/$defs/b","properties":{"a":{"type":"null"}},"$defs":{"b":{"properties":{"b":{"type":"null"}}}}}`,
			list{`{"b":null,"a":null}`}, list{`{"a":null,"b":null}`}},
		{`{"type":"object","if":{"properties":{"b":{"const":1}}},"then":{"properties":{"a":{"const":2}}},"properties":{"a":{"type":"integer"},"b":{"type":"integer"}}}`,
			list{`{"a":2,"b":1}`, `{"a":3,"b":2}`}, list{`{"b":1,"a":2}`, `{"a":3,"b":1}`}},
		{`{"type":"object","additionalProperties":false}`, list{`{}`}, list{`{"a":1}`}},
		{`{"type":"object","patternProperties":{"^n":{"type":"number"},"s$":{"type":"integer"}}}`, list{`{"n":1.5}`, `{"x_s":2,"ns":3}`}, list{`{"n":"x"}`, `{"ns":1.5}`, `{"z":1}`}},
		{`{"type":"object","propertyNames":{"pattern":"^[a-c]+$"},"additionalProperties":true}`, list{`{"abc":1}`}, list{`{"d":1}`}},
		{`{"type":"object","properties":{"a":true,"b":true,"c":true},"minProperties":2}`, list{`{"a":1,"c":2}`, `{"a":1,"b":2,"c":3}`}, list{`{}`, `{"b":1}`}},
		{`{"type":"object","maxProperties":1}`, list{`{}`, `{"a":1}`}, list{`{"a":1,"b":2}`}},
		{`{"type":"object","properties":{"a":true,"b":true},"dependentRequired":{"a":["b"]}}`, list{`{}`, `{"b":1}`, `{"a":1,"b":1}`}, list{`{"a":1}`}},
		{`{"type":"object","properties":{"a":true,"b":true},"dependentSchemas":{"a":{"properties":{"b":{"type":"null"}}}}}`, list{`{"b":1}`, `{"a":1,"b":null}`, `{"a":1}`}, list{`{"a":1,"b":1}`}},
		{`{"allOf":[{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]},{"properties":{"a":{"minimum":5},"b":{"type":"null"}}}]}`, list{`{"a":5}`, `{"a":6,"b":null}`}, list{`{"a":4}`, `{}`}},
		{`{"anyOf":[{"type":"integer"},{"type":"string","maxLength":1}]}`, list{`12`, `"x"`}, list{`"xy"`, `1.5`}},
		{`{"oneOf":[{"type":"object","properties":{"k":{"const":"a"},"x":{"type":"integer"}},"required":["k","x"]},{"type":"object","properties":{"k":{"const":"b"},"y":{"type":"null"}},"required":["k","y"]}]}`, list{`{"k":"a","x":1}`, `{"k":"b","y":null}`}, list{`{"k":"a","y":null}`}},
		{`{"oneOf":[{"type":"integer","minimum":5},{"type":"integer","maximum":10}]}`, list{`4`, `11`}, list{`5`, `7`, `10`}},
		{`{"type":["string","number","null"],"not":{"type":"number"}}`, list{`"x"`, `null`}, list{`1`}},
		{`{"type":"string","not":{"enum":["a","b"]}}`, list{`"c"`, `""`, `"ab"`}, list{`"a"`, `"b"`}},
		{`{"type":"integer","not":{"const":5}}`, list{`4`, `55`, `-5`}, list{`5`}},
		{`{"type":"string","not":{"minLength":3}}`, list{`""`, `"ab"`}, list{`"abc"`, `"abcd"`}},
		{`{"type":"string","not":{"maxLength":3}}`, list{`"abcd"`}, list{`""`, `"abc"`}},
		{`{"type":["string","null"],"not":{"minLength":2,"maxLength":3}}`, list{`"a"`, `"abcd"`}, list{`"ab"`, `"abc"`, `null`}},
		{`{"type":"string","not":{"pattern":"^a"}}`, list{`"b"`, `""`}, list{`"a"`, `"ab"`}},
		{`{"type":"string","not":{"not":{"pattern":"^a"}}}`, list{`"a"`, `"ab"`}, list{`"b"`, `""`}},
		{`{"type":"integer","not":{"minimum":3}}`, list{`2`, `-5`}, list{`3`, `4`}},
		{`{"type":"integer","not":{"exclusiveMaximum":3}}`, list{`3`, `40`}, list{`2`, `-5`}},
		{`{"type":"array","items":{"type":"null"},"not":{"minItems":2}}`, list{`[]`, `[null]`}, list{`[null,null]`}},
		{`{"type":"array","items":{"type":"null"},"not":{"maxItems":1}}`, list{`[null,null]`}, list{`[]`, `[null]`}},
		{`{"type":"array","items":{"enum":[1,2]},"not":{"contains":{"const":1}}}`, list{`[]`, `[2]`}, list{`[1]`, `[2,1]`}},
		{`{"type":"object","additionalProperties":{"type":"null"},"not":{"minProperties":1}}`, list{`{}`}, list{`{"a":null}`}},
		{`{"type":"object","properties":{"a":true,"b":true},"additionalProperties":false,"not":{"maxProperties":1}}`, list{`{"a":1,"b":2}`}, list{`{}`, `{"a":1}`}},
		{`{"type":"object","properties":{"a":{"enum":[1,2]}},"additionalProperties":false,"not":{"properties":{"a":{"const":1}}}}`,
			list{`{"a":2}`}, list{`{"a":1}`, `{}`}},
		{`{"not":{"type":"integer"},"type":"number"}`, list{`0.5`, `-12.25`}, list{`1`, `1.0`}},
		{`{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"not":{"required":["a","b"]}}`, list{`{}`, `{"a":1}`, `{"b":1}`}, list{`{"a":1,"b":2}`}},
		{`{"type":"object","properties":{"k":{"enum":["a","b"]},"v":true},"required":["k"],"if":{"properties":{"k":{"const":"a"}}},"then":{"properties":{"v":{"type":"integer"}},"required":["v"]},"else":{"properties":{"v":false}}}`, list{`{"k":"a","v":1}`, `{"k":"b"}`}, list{`{"k":"a"}`, `{"k":"a","v":null}`, `{"k":"b","v":1}`}},
		{`{"$defs":{"t":{"type":"object","properties":{"v":{"type":"integer"},"c":{"type":"array","items":{"$ref":"#/$defs/t"}}},"required":["v"]}},"$ref":"#/$defs/t"}`, list{`{"v":1}`, `{"v":1,"c":[{"v":2,"c":[]},{"v":3}]}`}, list{`{}`, `{"v":1,"c":[{}]}`}},
		{`{"properties":{"a":{"$ref":"#/properties/b"},"b":{"$ref":"#x"}},"$defs":{"q":{"$anchor":"x","type":"null"}},"type":"object"}`, list{`{"a":null,"b":null}`}, list{`{"a":1}`}},
		{`{"$id":"https://example.com/s","$ref":"https://example.com/s#/$defs/a%25b~1c","$defs":{"a%b/c":{"type":"null"}}}`, list{`null`}, list{`1`}},
		{`{"type":"object","properties":{"a":true},"unevaluatedProperties":{"type":"null"}}`, list{`{"a":1,"b":null}`}, list{`{"b":1}`}},
		{`{"title":"t","description":"d","$comment":"c","default":1,"examples":[1],"x-y":1,"readOnly":true,"contentEncoding":"base64","type":"null"}`, list{`null`}, nil},
	} {
		g, err := FromJSONSchema([]byte(tc.schema), SchemaOptions{})
		if err != nil {
			t.Errorf("%s: %v", tc.schema, err)
			continue
		}
		for _, x := range tc.yes {
			if !accepts(t, g, x) {
				t.Errorf("%s does not accept %s", tc.schema, x)
			}
		}
		for _, x := range tc.no {
			if accepts(t, g, x) {
				t.Errorf("%s accepts %s", tc.schema, x)
			}
		}
	}
}

func TestSchemaErrors(t *testing.T) {
	for _, tc := range []struct {
		schema, at string // at: pointer and keyword, "-" for no SchemaError
		err        error
	}{
		{`{`, "-", ErrSyntax}, {`{} {}`, "-", ErrSyntax}, {"\"\xff\"", "-", ErrSyntax}, {`{"type":"null","type":"null"}`, "-", ErrSyntax},
		{strings.Repeat(`{"not":`, 1000), "-", ErrSyntax}, {`{"minimum":1e999999999}`, "-", ErrSyntax},
		{`[]`, "", ErrSyntax}, {`{"type":"strng"}`, "/type", ErrSyntax}, {`{"properties":{"a":{"type":3}}}`, "/properties/a/type", ErrSyntax},
		{`{"enum":[]}`, "/enum", ErrSyntax}, {`{"minLength":-1}`, "/minLength", ErrSyntax}, {`{"minLength":1.5}`, "/minLength", ErrSyntax},
		{`{"minItems":99999999999}`, "/minItems", ErrTooLarge}, {`{"multipleOf":0}`, "/multipleOf", ErrSyntax}, {`{"pattern":"("}`, "/pattern", ErrSyntax},
		{`{"pattern":"(?<=a)b"}`, "/pattern", ErrUnsupported}, {`{"pattern":"(a(?=b).)*$"}`, "/pattern", ErrUnsupported}, {`{"format":"colour"}`, "/format", ErrUnsupported}, {`{"required":"a"}`, "/required", ErrSyntax},
		{`{"minlength":1}`, "/minlength", ErrUnsupported}, {`{"$dynamicRef":"#a"}`, "/$dynamicRef", ErrSyntax},
		{`{"$ref":"other.json"}`, "/$ref", ErrUnsupported}, {`{"$ref":"#/$defs/x"}`, "/$ref", ErrSyntax}, {`{"$ref":"#x"}`, "/$ref", ErrSyntax},
		{`{"$ref":"#"}`, "", ErrSyntax}, {`{"$defs":{"a":{"allOf":[{"$ref":"#/$defs/b"}]},"b":{"$ref":"#/$defs/a"}}}`, "/$defs/b", ErrSyntax},
		{`{"type":"array","uniqueItems":true}`, "/uniqueItems", ErrUnsupported}, {`{"type":"array","not":{"items":{"type":"null"}}}`, "/not", ErrUnsupported},
		{`{"oneOf":[{"type":"string","pattern":"a"},{"type":"string","format":"date"}]}`, "/oneOf", ErrUnsupported},
		{`{"if":{"multipleOf":3},"then":{"maximum":5}}`, "/if", ErrUnsupported}, {`{"type":"array","not":{"const":[1]}}`, "/not", ErrUnsupported},
		{`{"type":"integer","multipleOf":123457}`, "/multipleOf", ErrTooLarge}, {`{"pattern":"^(ab)*$","maxLength":1000000}`, "/maxLength", ErrTooLarge},
		{`false`, "-", ErrEmpty}, {`{"type":"string","minLength":3,"maxLength":2}`, "-", ErrEmpty}, {`{"allOf":[{"type":"string"},{"type":"null"}]}`, "-", ErrEmpty},
		{`{"type":"integer","minimum":1.2,"maximum":1.8}`, "-", ErrEmpty}, {`{"enum":["a"],"type":"integer"}`, "-", ErrEmpty},
		{`{"$defs":{"a":{"type":"object","properties":{"a":{"$ref":"#/$defs/a"}},"required":["a"]}},"$ref":"#/$defs/a"}`, "-", ErrEmpty},
	} {
		_, err := FromJSONSchema([]byte(tc.schema), SchemaOptions{Strict: true})
		if !errors.Is(err, tc.err) {
			t.Errorf("%.80s: %v, expected %v", tc.schema, err, tc.err)
		}
		var at *SchemaError
		if errors.As(err, &at) != (tc.at != "-") {
			t.Errorf("%.80s: %v, expected a SchemaError: %v", tc.schema, err, tc.at != "-")
		}
		if at != nil {
			place := at.Pointer
			if at.Keyword != "" {
				place += "/" + at.Keyword
			}
			if place != tc.at {
				t.Errorf("%.80s: error at %q, expected %q (%v)", tc.schema, place, tc.at, err)
			}
		}
	}
}

func TestSchemaOptions(t *testing.T) {
	src := `{"type":"object","properties":{"a":{"type":"integer"}},"minlength":1,"format":"odd"}`
	g := schemaGrammar(t, src, SchemaOptions{Whitespace: WhitespaceCompact, OpenObjects: true})
	for text, want := range map[string]bool{`{"a":1,"b":2}`: true, `{"a": 1}`: false, `{}`: true, `{ }`: false, `{"a":"x"}`: false} {
		if got := accepts(t, g, text); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}

// TestHostileSchemas: schemas that could explode end soon.
func TestHostileSchemas(t *testing.T) {
	var products []string
	for i := range 40 {
		products = append(products, fmt.Sprintf(`{"anyOf":[{"required":["a%d"]},{"required":["b%d"]}]}`, i, i))
	}
	var branches []string
	for i := range 400 {
		branches = append(branches, fmt.Sprintf(`{"type":"object","properties":{"x%d":{"type":"null"}}}`, i))
	}
	deep := `{"type":"null"}`
	for range 60 {
		deep = `{"type":"array","prefixItems":[` + deep + `,{"type":"string"}]}`
	}
	for name, src := range map[string]string{
		"product":  `{"type":"object","allOf":[` + strings.Join(products, ",") + `]}`,
		"overlaps": `{"oneOf":[` + strings.Join(branches, ",") + `]}`,
		"deep":     deep,
		"pattern":  `{"type":"string","pattern":"(a|b)*a(a|b){30}","minLength":1}`,
		"large":    `{"type":"string","maxLength":1000000000}`,
		"items":    `{"type":"array","items":{"type":"array","maxItems":1000000},"maxItems":1000000}`,
		"patterns": `{"type":"object","patternProperties":{"a":{},"b":{},"c":{},"d":{},"e":{}}}`,
	} {
		g, err := FromJSONSchema([]byte(src), SchemaOptions{})
		if err != nil {
			if !errors.Is(err, ErrTooLarge) && !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		s := matcher(t, g, vocabulary(t, byteTokens())).Start()
		if text, _, err := s.ShortestCompletion(); err != nil || !accepts(t, g, string(text)) {
			t.Errorf("%s: %q, %v", name, text, err)
		}
	}
}
