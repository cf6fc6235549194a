package core

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func TestLimits(t *testing.T) {
	many := func(n int, element string) string {
		return "[" + strings.TrimSuffix(strings.Repeat(element+",", n), ",") + "]"
	}
	long := func(n int) string { return `"` + strings.Repeat("x", n) + `"` }
	for _, c := range []struct{ body, param string }{
		{`{}`, ""},
		{`{"stop":"a","messages":[{"role":"user","content":` + long(1<<20) + `}]}`, ""},
		{`{"stop":` + many(64, `"a"`) + `}`, ""},
		{`{"stop":` + many(65, `"a"`) + `}`, "stop"},
		{`{"STOP":` + many(65, `"a"`) + `}`, "stop"},
		{`{"\u017ftop":` + many(65, `"a"`) + `}`, "stop"},
		{`{"ſtop":` + many(65, `"a"`) + `}`, "stop"},
		{`{"st\u006fp" : ` + many(65, `"a"`) + `}`, "stop"},
		{`{"stop":["a",` + long(1025) + `]}`, "stop[1]"},
		{`{"stop":["a",` + long(1024) + `]}`, ""},
		{`{"dry_sequence_breakers":[` + long(65) + `]}`, "dry_sequence_breakers[0]"},
		{`{"options":{"stop":` + many(65, `"a"`) + `}}`, "options.stop"},
		{`{"messages":[{"role":"user"},{"tool_calls":` + many(1025, `{}`) + `}]}`, "messages[1].tool_calls"},
		{`{"messages":[{"content":` + many(1<<14+1, `{"type":"text"}`) + `}]}`, "messages[0].content"},
		{`{"messages":[{"role":` + long(1025) + `}]}`, "messages[0].role"},
		{`{"json_schema":{"enum":[` + long(1<<20) + `]}}`, "json_schema.enum[0]"},
		{`{"json_schema":{"enum":` + many(1<<18, `"abc"`) + `}}`, "json_schema.enum"},
		{`{"json_schema":{"enum":` + many(1<<16, `"abcdefghijklmnopqrst"`) + `}}`, "json_schema.enum"},
		{`{"json_schema":{"properties":{"stop":{"enum":` + many(100, `"a"`) + `}}}}`, ""}, // names are the client's
		{`{"prompt":` + many(1<<14+1, `"a"`) + `}`, "prompt"},
		{`{"prompt":["a",` + many(1<<14+1, `[1]`) + `]}`, "prompt[1]"},
		{`{"input":` + many(1<<14, `"a"`) + `}`, ""},
		{`{"prompt":` + many(1<<16, `-1`) + `}`, ""},
		{`{"tools":[{"function":{"":[` + long(67) + `]}}]}`, ""},           // no field of ours, and not the body
		{`{"tools":[{"function":` + long(67) + `},` + long(67) + `]}`, ""}, // decoding refuses it
		{`{"tools":[{"":{"stop":[` + long(1025) + `]}}]}`, ""},
		{`{"tools":[{"":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}]}`,
			`tools[0].""` + strings.Repeat("[0]", 254)},
		{`{"nobody":{"stop":` + many(100, `"a"`) + `}}`, ""},
		{`{"input":` + strings.Repeat("[", 300) + strings.Repeat("]", 300) + `}`, "input" + strings.Repeat("[0]", 256)},
		{`{"model":{"a":[1,2]},"seed":-1.5e3,"stream":true,"n":null}`, ""},
		{`{"` + strings.Repeat("k", 2000) + `":1}`, ""},
	} {
		if !json.Valid([]byte(c.body)) {
			t.Fatalf("%.60s is no JSON", c.body)
		}
		_, err := checkFields([]byte(c.body), nil)
		e, refused := errors.AsType[*Error](err)
		switch {
		case strings.Contains(c.body, "kkkk"):
			if !refused || !strings.Contains(e.Message, "key") {
				t.Errorf("a long key: %v", err)
			}
		case c.param == "" && err != nil:
			t.Errorf("%.60s: %v", c.body, err)
		case c.param != "" && (!refused || e.Param != c.param || e.Status != 400 || !strings.HasPrefix(e.Message, c.param)):
			t.Errorf("%.60s: %v (%+v), want one of %s", c.body, err, e, c.param)
		}
	}
}

// FuzzLimits walks any JSON to its end.
func FuzzLimits(f *testing.F) {
	for _, body := range []string{`{"a":[1,"\"",{"b":null}],"stop":["x"]} `, `[[],{}]`, `"a"`, `{"":{"":""}}`, `-1e5`} {
		f.Add([]byte(body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if !json.Valid(body) {
			return
		}
		w := limitWalk{data: body}
		err := w.value(object, 0)
		if w.space(); err == nil && w.pos != len(body) {
			t.Errorf("%q: stopped at byte %d", body, w.pos)
		}
	})
}
