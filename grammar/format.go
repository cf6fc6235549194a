package grammar

import (
	"fmt"
	"strings"
	"sync"
)

// formatSources are regular expressions for the formats of strings, in terms of
// formatParts. They are never wider than the format, but for what is in punycode, and sometimes narrower: of other
// scripts host names have only letters that may stand anywhere.
var formatSources = map[string]string{
	"date":                  `<date>`,
	"time":                  `<time>`,
	"date-time":             `<date>[Tt]<time>`,
	"duration":              `P(?:<n>W|<days>(?:T<hours>)?|T<hours>)`,
	"email":                 `(?:<atom>+(?:\.<atom>+)*|"(?:[ !#-\[\]-~]|\\[ -~])*")@(?:<host>|\[<ipv4>\]|\[IPv6:<ipv6>\])`,
	"idn-email":             `(?:<iatom>+(?:\.<iatom>+)*|"(?:[ !#-\[\]-~]|\\[ -~])*")@(?:<ihost>|\[<ipv4>\]|\[IPv6:<ipv6>\])`,
	"hostname":              `<host>`,
	"idn-hostname":          `<ihost>`,
	"ipv4":                  `<ipv4>`,
	"ipv6":                  `<ipv6>`,
	"uri":                   `<scheme>:<path><tail>`,
	"iri":                   `<scheme>:<ipath><itail>`,
	"uri-reference":         `(?:<scheme>:<path>|<relative>)<tail>`,
	"iri-reference":         `(?:<scheme>:<ipath>|<irelative>)<itail>`,
	"uuid":                  `<x>{8}-<x>{4}-<x>{4}-<x>{4}-<x>{12}`,
	"uri-template":          `(?:<literal>|\{[+#./;?&=,!@|]?<variable>(?:,<variable>)*\})*`,
	"json-pointer":          `<pointer>`,
	"relative-json-pointer": `(?:0|[1-9]\d{0,8})(?:#|<pointer>)`,
}

// formatParts are in the order in which they are put in.
var formatParts = []struct{ name, source string }{
	{"date", `(?:<year>-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|` +
		`02-(?:0[1-9]|1\d|2[0-8]))|<leap>-02-29)`},
	{"year", `\d{4}`},
	{"leap", `(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)`},
	{"time", `(?:<clock>:[0-5]\d(?:\.\d+)?(?:[Zz]|[+-]<clock>)|` + leapSeconds() + `)`},
	{"clock", `(?:[01]\d|2[0-3]):[0-5]\d`},
	{"days", `(?:<n>D|<n>M(?:<n>D)?|<n>Y(?:<n>M(?:<n>D)?)?)`},
	{"hours", `(?:<n>S|<n>M(?:<n>S)?|<n>H(?:<n>M(?:<n>S)?)?)`},
	{"n", `\d{1,9}`},
	{"iatom", "(?:<atom>|<other>)"},
	{"atom", "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]"},
	{"ihost", `<ilabel>(?:\.<ilabel>)*`},
	{"host", `<label>(?:\.<label>)*`},
	{"label", `[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?`},
	{"ilabel", `(?:<label>|<letter>(?:-?<letter>){0,30})`},
	{"letter", `[a-z0-9ß-öø-ÿα-ωа-яёぁ-ゖァ-ヺ一-鿿가-힣]`},
	{"ipath", `(?://<iauthority>(?:/<ip>*)*|/(?:<ip>+(?:/<ip>*)*)?|<ip>+(?:/<ip>*)*|)`},
	{"irelative", `(?://<iauthority>(?:/<ip>*)*|/(?:<ip>+(?:/<ip>*)*)?|<iq>+(?:/<ip>*)*|)`},
	{"iauthority", `(?:(?:<u>|<other>)*@)?(?:(?:<reg>|<other>)*|\[<ipv6>\])(?::\d*)?`},
	{"itail", `(?:\?(?:<ip>|[/?])*)?(?:#(?:<ip>|[/?])*)?`},
	{"ip", `(?:<p>|<other>)`},
	{"iq", `(?:<q>|<other>)`},
	{"scheme", `[A-Za-z][A-Za-z0-9+.-]*`},
	{"relative", `(?://<authority>(?:/<p>*)*|/(?:<p>+(?:/<p>*)*)?|<q>+(?:/<p>*)*|)`},
	{"path", `(?://<authority>(?:/<p>*)*|/(?:<p>+(?:/<p>*)*)?|<p>+(?:/<p>*)*|)`},
	{"authority", `(?:<u>*@)?(?:<reg>*|\[<ipv6>\])(?::\d*)?`},
	{"tail", `(?:\?(?:<p>|[/?])*)?(?:#(?:<p>|[/?])*)?`},
	{"literal", `(?:[!#$&-;=?-\[\]_a-z~]|<other>|%<x>{2})`},
	{"variable", `<varchar>(?:\.?<varchar>)*(?::[1-9]\d{0,3}|\*)?`},
	{"other", `[\u00A0-\uD7FF\uF900-\uFDCF\uFDF0-\uFFEF\u{10000}-\u{1FFFD}]`},
	{"varchar", `(?:[A-Za-z0-9_]|%<x>{2})`},
	{"p", `(?:[A-Za-z0-9._~!$&'()*+,;=:@-]|%<x>{2})`},
	{"q", `(?:[A-Za-z0-9._~!$&'()*+,;=@-]|%<x>{2})`},
	{"u", `(?:[A-Za-z0-9._~!$&'()*+,;=:-]|%<x>{2})`},
	{"reg", `(?:[A-Za-z0-9._~!$&'()*+,;=-]|%<x>{2})`},
	{"ipv6", `(?:(?:<h>:){6}<ls>|::(?:<h>:){5}<ls>|<h>?::(?:<h>:){4}<ls>|(?:(?:<h>:){0,1}<h>)?::(?:<h>:){3}<ls>|` +
		`(?:(?:<h>:){0,2}<h>)?::(?:<h>:){2}<ls>|(?:(?:<h>:){0,3}<h>)?::<h>:<ls>|(?:(?:<h>:){0,4}<h>)?::<ls>|` +
		`(?:(?:<h>:){0,5}<h>)?::<h>|(?:(?:<h>:){0,6}<h>)?::)`},
	{"ls", `(?:<h>:<h>|<ipv4>)`},
	{"ipv4", `(?:<byte>\.){3}<byte>`},
	{"byte", `(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)`},
	{"h", `<x>{1,4}`},
	{"x", `[0-9A-Fa-f]`},
	{"pointer", `(?:/(?:[^~/]|~[01])*)*`},
}

// leapSeconds returns the times of a leap second, which is at 23:59:60 of universal time, by the offsets of full and
// half hours.
func leapSeconds() string {
	const day = 24 * 60
	times := []string{`23:59:60(?:\.\d+)?[Zz]`}
	clock := func(minute int) string { return fmt.Sprintf("%02d:%02d", minute/60, minute%60) }
	for local := 29; local < day; local += 30 {
		times = append(times, fmt.Sprintf(`%s:60(?:\.\d+)?(?:\+%s|-%s)`, clock(local), clock((local+1)%day), clock(day-1-local)))
	}
	return strings.Join(times, "|")
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
