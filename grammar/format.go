package grammar

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
)

// formatSources are regular expressions for the formats of strings, in terms of
// formatParts. They are never wider than the format, and sometimes narrower:
// e-mail addresses have no quoted parts and URIs no user or IPv6 address.
var formatSources = map[string]string{
	"date":                  `<date>`,
	"time":                  `<time>`,
	"date-time":             `<date>T<time>`,
	"duration":              `P(?:<n>W|<days>(?:T<hours>)?|T<hours>)`,
	"email":                 `<atom>{1,32}(?:\.<atom>{1,30})?@<domain>`,
	"idn-email":             `<atom>{1,32}(?:\.<atom>{1,30})?@<domain>`,
	"hostname":              `<host>`,
	"idn-hostname":          `<host>`,
	"ipv4":                  `(?:<byte>\.){3}<byte>`,
	"ipv6":                  `(?:<h>:){7}<h>|(?:<h>:){1,7}:|(?:<h>:){1,6}:<h>|(?:<h>:){1,5}(?::<h>){1,2}|(?:<h>:){1,4}(?::<h>){1,3}|(?:<h>:){1,3}(?::<h>){1,4}|(?:<h>:){1,2}(?::<h>){1,5}|<h>:(?::<h>){1,6}|:(?::<h>){1,7}|::`,
	"uri":                   `<scheme>:<path><tail>`,
	"iri":                   `<scheme>:<path><tail>`,
	"uri-reference":         `(?:<scheme>:<path>|<relative>)<tail>`,
	"iri-reference":         `(?:<scheme>:<path>|<relative>)<tail>`,
	"uuid":                  `<x>{8}-<x>{4}-<x>{4}-<x>{4}-<x>{12}`,
	"json-pointer":          `<pointer>`,
	"relative-json-pointer": `(?:0|[1-9]\d{0,8})(?:#|<pointer>)`,
}

var formatParts = []struct{ name, source string }{
	{"date", `(?:<year>-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))|<leap>-02-29)`},
	{"year", `\d{4}`},
	{"leap", `(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)`},
	{"time", `<clock>:[0-5]\d(?:\.\d{1,9})?(?:Z|[+-]<clock>)`},
	{"clock", `(?:[01]\d|2[0-3]):[0-5]\d`},
	{"days", `(?:<n>D|<n>M(?:<n>D)?|<n>Y(?:<n>M(?:<n>D)?)?)`},
	{"hours", `(?:<n>S|<n>M(?:<n>S)?|<n>H(?:<n>M(?:<n>S)?)?)`},
	{"n", `\d{1,9}`},
	{"atom", "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"},
	{"domain", `<label>(?:\.<label>){1,2}`},
	{"host", `<label>(?:\.<label>){0,2}`},
	{"label", `[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?`},
	{"byte", `(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)`},
	{"h", `<x>{1,4}`},
	{"scheme", `[A-Za-z][A-Za-z0-9+.-]*`},
	{"relative", `(?://<authority>(?:/<p>*)*|/(?:<p>+(?:/<p>*)*)?|<q>+(?:/<p>*)*|)`},
	{"path", `(?://<authority>(?:/<p>*)*|/(?:<p>+(?:/<p>*)*)?|<p>+(?:/<p>*)*)`},
	{"authority", `[A-Za-z0-9._~!$&'()*+,;=-]*(?::\d{0,5})?`},
	{"tail", `(?:\?(?:<p>|[/?])*)?(?:#(?:<p>|[/?])*)?`},
	{"p", `(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%<x>{2})`},
	{"q", `(?:[A-Za-z0-9._~!$&'()*+,;=@-]|%<x>{2})`},
	{"x", `[0-9A-Fa-f]`},
	{"pointer", `(?:/(?:[^~/]|~[01])*)*`},
}

var formatPatterns = sync.OnceValue(func() map[string]pattern {
	out := map[string]pattern{}
	for name, source := range formatSources {
		for _, part := range formatParts {
			source = strings.ReplaceAll(source, "<"+part.name+">", part.source)
		}
		e, err := parseRegexp("^(?:" + source + ")$")
		if err != nil {
			panic(fmt.Sprintf("format %s: %v", name, err)) // the sources are constant
		}
		out[name] = pattern{source: "format " + name, re: e, format: true}
	}
	return out
})

// formatPattern returns what a format demands of strings.
func formatPattern(name string) (pattern, bool) {
	p, ok := formatPatterns()[name]
	return p, ok
}

// formatNames returns the known formats.
func formatNames() []string {
	return slices.Sorted(slices.Values(append(slices.Collect(maps.Keys(formatSources)), "int32", "int64", "float", "double")))
}
