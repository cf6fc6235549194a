package server

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"trit/sample"
	"trit/server/core"
	"trit/server/internal/servertest"
)

// The section of the page that the table of contracts is.
const (
	contractsBegin = "<!-- contracts: the test TestContractsInDocs writes this table with -update -->\n"
	contractsEnd   = "<!-- end of the contracts -->"
)

// TestContractsInDocs compares the page with the table that requests are judged by.
func TestContractsInDocs(t *testing.T) {
	path := filepath.Join("..", "docs", "api.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	page := strings.ReplaceAll(string(data), "\r\n", "\n")
	before, rest, ok := strings.Cut(page, contractsBegin)
	got, after, closed := strings.Cut(rest, contractsEnd)
	if !ok || !closed {
		t.Fatalf("%s has no section of contracts", path)
	}
	want := "\n" + contractsTable() + "\n"
	if got == want {
		return
	}
	if !servertest.Updating() {
		t.Fatalf("the table of contracts in %s is not that of server/core/contract.go; -update writes it", path)
	}
	if err := os.WriteFile(path, []byte(before+contractsBegin+want+contractsEnd+after), 0o644); err != nil {
		t.Fatal(err)
	}
}

// contractsTable returns the table as Markdown.
func contractsTable() string {
	parameters := map[string]bool{}
	for _, p := range sample.Params() {
		parameters[p.Name], parameters[p.Synonym] = true, true
	}
	var b strings.Builder
	b.WriteString("| | kept, or 400 | followed as far as possible | ignored, and named | of no effect anywhere | refused |\n|---|---|---|---|---|---|\n")
	for _, a := range core.APIs() {
		fmt.Fprintf(&b, "| `%s` |", a)
		for _, treatment := range []core.Treatment{core.Kept, core.Followed, core.Ignored, core.Inert, core.Refused} {
			var names []string
			sampling := false
			for _, name := range core.ContractOf(a).Fields(treatment) {
				if parameters[strings.TrimPrefix(name, "options.")] && a != core.Messages {
					sampling = true
				} else {
					names = append(names, "`"+name+"`")
				}
			}
			if sampling {
				names = append(names, "the [sampling parameters](#sampling-parameters)")
			}
			b.WriteString(" " + strings.Join(names, ", ") + " |")
		}
		b.WriteString("\n")
	}
	return b.String()
}

// TestIgnoredIsSaid: hints that mean nothing here are named to the client and once in the log; what asks for
// nothing, or is of no effect on any server, is not; contracts that are not kept are refused.
func TestIgnoredIsSaid(t *testing.T) {
	s := serve(t, Options{})
	const chat = `"model":"demo","max_tokens":1,"messages":[{"role":"user","content":"Hi"}]`
	for _, test := range []struct {
		path, body string
		status     int
		want       string // the header, or the field of the error
	}{
		{"/v1/chat/completions", `{` + chat + `,"user":"u","metadata":{"a":"b"},"service_tier":"auto","store":false,"verbosity":null}`, 200, ""},
		{"/v1/chat/completions", `{` + chat + `,"service_tier":"flex","Verbosity":"low","store":true}`, 200, "service_tier, verbosity, store"},
		{"/v1/chat/completions", `{` + chat + `,"web_search_options":{}}`, 200, "web_search_options"},
		{"/v1/chat/completions", `{` + chat + `,"no\u0000such":{"a":1},"nor_this":null}`, 200, `"no\x00such"`},
		{"/v1/chat/completions", `{` + chat + `,"stream":true,"stream_options":{"include_usage":true,"include_obfuscation":true,"x":1}}`, 200,
			`"stream_options.x"`},
		{"/v1/chat/completions", `{` + chat + `,"chat_template_kwargs":{"x":1},"logit_bias":{"5":1}}`, 200, ""},
		{"/v1/chat/completions", `{` + chat + `,"length_penalty":1}`, 200, ""},
		{"/v1/chat/completions", `{` + chat + `,"length_penalty":2}`, 400, "length_penalty"},
		{"/v1/chat/completions", `{` + chat + `,"audio":{"voice":"x"}}`, 400, "audio"},
		{"/v1/responses", `{"model":"demo","input":"Hi","max_output_tokens":1,"reasoning":{"summary":"auto"},"text":{"verbosity":"low"}}`, 200,
			"reasoning.summary, text.verbosity"},
		{"/v1/responses", `{"model":"demo","input":"Hi","background":true}`, 400, "background"},
		{"/api/generate", `{"model":"demo","prompt":"Hi","stream":false,"options":{"num_predict":1,"num_gpu":99,"use_mmap":false,"tfs_z":1.0,
			"num_ctx":9999,"numpredict":3}}`, 200, `options.num_gpu, "options.numpredict", options.num_ctx`},
		{"/v1/messages", `{` + chat + `,"metadata":{"user_id":"u"},"mcp_servers":[{"type":"url"}],"container":"c"}`, 200, "mcp_servers, container"},
		{"/completion", `{"prompt":"Hi","n_predict":1,"cache_prompt":true,"id_slot":-1,"n_keep":5}`, 200, "n_keep"},
		{"/completion", `{"prompt":"Hi","n_predict":1,"lora":[{"id":0}]}`, 400, "lora"},
	} {
		r := s.do("POST", test.path, test.body)
		got := r.header.Get(core.IgnoredHeader)
		if test.status != 200 && strings.Contains(r.body, test.want+" is not supported by this server") {
			got = test.want
		}
		if r.status != test.status || got != test.want {
			t.Errorf("%s %s: status %d, %q; want %d, %q: %s", test.path, test.body, r.status, got, test.status, test.want, r.body)
		}
	}
	for range 2 {
		s.do("POST", "/v1/chat/completions", `{`+chat+`,"tools":[{"type":"x"},{"type":"x"}]}`)
	}
	for _, line := range []string{`api=openai field=verbosity`, `api=openai field="unknown fields"`, `api=ollama field=options.num_ctx`, `field=tools `} {
		if n := strings.Count(s.log.String(), line); n != 1 {
			t.Errorf("the log says %q %d times: %s", line, n, s.log.String())
		}
	}
	var body strings.Builder
	for i := range 40 {
		fmt.Fprintf(&body, `,"x%d":1`, i)
	}
	r := s.do("POST", "/v1/chat/completions", `{`+chat+body.String()+`}`)
	if got := r.header.Get(core.IgnoredHeader); !strings.HasPrefix(got, `"x0", `) || !strings.HasSuffix(got, `"x31", 8 more`) {
		t.Errorf("of 40 fields the header says %s", got)
	}
}

// unruly has fields that the table says other things of.
type unruly struct {
	Model  string `json:"model"`
	Nobody string `json:"nobody"`
	User   string `json:"user"`
	Nested struct {
		Deep *int `json:"deep"`
	} `json:"reasoning"`
}

func (*unruly) API() core.API { return core.Embeddings }

// TestFieldsWithoutRule: the check that every request of a test passes notices what has no rule, what is decoded and
// ignored, and what is promised and not decoded.
func TestFieldsWithoutRule(t *testing.T) {
	want := "dimensions is in the table and nothing decodes it, encoding_format is in the table and nothing decodes it, " +
		"input is in the table and nothing decodes it, input_type is in the table and nothing decodes it, nobody has no rule, " +
		"reasoning has no rule, reasoning.deep has no rule, user is decoded although the table says that nothing reads it"
	if got := strings.Join(servertest.FieldsWithoutRule(new(unruly)), ", "); got != want {
		t.Errorf("got %s", got)
	}
}
