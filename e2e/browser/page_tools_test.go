package browser

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// TestContinue: an answer that was cut, or stopped, goes on where it ends.
func TestContinue(t *testing.T) {
	p, server := openMock(t)
	p.say("/length")
	p.click(`.message.last [aria-label="Continue the answer"]`)
	p.idle()
	p.until(`document.querySelector(".message.last .content").innerText === "This answer is not complete. Now it is."`)
	body := lastBody(t, server)
	if body["continue_final_message"] != true || body["add_generation_prompt"] != false {
		t.Errorf("the request has %v and %v", body["continue_final_message"], body["add_generation_prompt"])
	}
	if got := contents(t, body); !slices.Equal(got, []string{"user: /length", "assistant: This answer is not compl"}) {
		t.Errorf("the request holds %q", got)
	}
	if got := p.text(".stats"); !strings.HasPrefix(got, "10 tokens") {
		t.Errorf("the two parts are %q", got)
	}
	p.until(`!document.querySelector('[aria-label="Continue the answer"]')`) // it is complete
	p.begin("/slow")
	p.until(`document.querySelectorAll(".assistant")[1]?.innerText.length > 30`)
	p.press("Escape")
	p.idle()
	p.click(`.message.last [aria-label="Continue the answer"]`)
	p.idle()
	p.until(`document.querySelector(".message.last .content").innerText.endsWith("Now it is.")`)
	if got := p.count(".message"); got != 4 {
		t.Errorf("there are %d messages", got)
	}
	p.say("Thanks")
	if got := contents(t, lastBody(t, server)); len(got) != 5 || !strings.HasSuffix(got[3], "Now it is.") {
		t.Errorf("the next request holds %q", got)
	}
}

// toolMessages lists the messages of a request as role, content and calls.
func toolMessages(t *testing.T, body map[string]any) string {
	t.Helper()
	data, err := json.Marshal(body["messages"])
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestToolsByHand: a call of a tool that the page does not have is answered by the user, and changed if need be.
func TestToolsByHand(t *testing.T) {
	p, server := openMock(t)
	p.say("/tool")
	p.until(`document.querySelector('[aria-label="Arguments of get_weather"]').value.includes('"city": "Paris"')`)
	p.script(`document.querySelector('[aria-label="Result of get_weather"]').focus()`)
	p.write("<img src=x onerror=window.pwned=1>")
	p.shoot("tool-form")
	p.click(".tool-form > .button")
	p.until(`document.querySelectorAll(".assistant").length === 2`)
	p.idle()
	if got := p.lastAnswer(); got != "The tool says <img src=x onerror=window.pwned=1>" {
		t.Errorf("the answer is %q", got)
	}
	want := `[{"content":"/tool","role":"user"},{"content":"","role":"assistant","tool_calls":[{"function":{"arguments":"{\n  \"city\": \"Paris\",\n  \"unit\": \"celsius\"\n}","name":"get_weather"},"id":"call_1","type":"function"}]},` +
		`{"content":"\u003cimg src=x onerror=window.pwned=1\u003e","role":"tool","tool_call_id":"call_1"}]`
	if got := toolMessages(t, lastBody(t, server)); got != want {
		t.Errorf("the request holds %s, want %s", got, want)
	}
	p.click(".tools .link")
	p.script(`document.querySelector('[aria-label="Result of get_weather"]').select()`)
	p.write("rain")
	p.click(".tool-form > .button")
	p.until(`document.querySelector(".message.last .content").innerText === "The tool says rain"`)
	p.idle()
	p.until(`document.querySelector(".count").innerText === "2/2"`) // the first result is kept as a version
	p.reload()
	p.until(`document.querySelector('.tools [aria-label="Result"]').innerText === "rain"`)
	if eval[bool](p, `window.pwned !== undefined`) {
		t.Error("a result became markup")
	}
}

// TestToolsOfThePage: the calculator is run by the page, as often as the limit says.
func TestToolsOfThePage(t *testing.T) {
	p, server := openMock(t)
	p.click("#open-settings")
	p.click(`#set-tools input[value="calculator"]`)
	p.press("Escape")
	p.say("/calculate (7 + 8) * 2")
	p.until(`document.querySelectorAll(".assistant").length === 2`)
	p.idle()
	if got := p.lastAnswer(); got != "The tool says 30" {
		t.Errorf("the answer is %q", got)
	}
	body := lastBody(t, server)
	if tools, _ := json.Marshal(body["tools"]); strings.Count(string(tools), `"name":"calculator"`) != 1 || strings.Contains(string(tools), "current_date") {
		t.Errorf("the tools are %s", tools)
	}
	p.shoot("tool-ran")
	p.click("#new-chat")
	before := len(server.Bodies())
	p.click("#open-settings")
	p.click(`#set-tools input[value="calculator"]`)
	p.press("Escape")
	p.say("/loop")
	p.until(`document.querySelectorAll(".assistant").length === 9`)
	p.idle()
	if n := len(server.Bodies()) - before; n != 9 {
		t.Errorf("%d requests were sent, want one and 8 more", n)
	}
	p.until(`document.querySelector(".message.last .tools [aria-label=Result]").innerText === "42"`)
	// Going on is up to the user.
	p.click(".message.last .tools .button")
	p.until(`document.querySelectorAll(".assistant").length > 9`)
	p.idle()
}

// TestSandbox: JavaScript of a model gives a result, reaches nothing, and ends.
func TestSandbox(t *testing.T) {
	p, _ := openMock(t)
	p.click("#open-settings")
	p.click(`#set-tools input[value="javascript"]`)
	p.press("Escape")
	run := func(code string) string {
		t.Helper()
		p.say("/run " + code)
		p.until(`document.querySelector(".message.last .content").innerText.startsWith("The tool says ")`)
		return strings.TrimPrefix(p.lastAnswer(), "The tool says ")
	}
	for code, want := range map[string]string{
		`[3, 1, 2].sort().join();`:                                          "1,2,3",
		`const a = 2; console.log("a is", a, {b: [1]}); return a * 21`:      "a is 2 {\"b\":[1]}\n42",
		`await new Promise((done) => setTimeout(done, 10)); return "later"`: "later",
		`nowhere.at.all`: "Error: nowhere is not defined",
		`1;`:             "1",
		`let x = 1`:      "(nothing was printed or returned)",
		// It is nobody's origin, and the way out is closed.
		`self.origin`: "null",
		`typeof document + typeof window + typeof top`: "undefinedundefinedundefined",
	} {
		if got := run(code); got != want {
			t.Errorf("%s gives %q, want %q", code, got, want)
		}
	}
	socket := strings.Replace(p.origin, "http", "ws", 1)
	if got := run(`const ways = {
		nothing: () => 1,
		request: () => fetch("` + p.origin + `/v1/models"), elsewhere: () => fetch("https://example.org/"),
		older: () => { const r = new XMLHttpRequest(); r.open("GET", "` + p.origin + `/v1/models", false); r.send(); },
		script: () => importScripts("` + p.origin + `/ui/worker.js"), data: () => importScripts("data:text/javascript,1"), module: () => import("data:text/javascript,1"),
		socket: () => new Promise((ok, fail) => { const s = new WebSocket("` + socket + `/x"); s.onopen = ok; s.onerror = () => fail(new Error("no socket")); }),
		events: () => new Promise((ok, fail) => { const s = new EventSource("` + p.origin + `/v1/models"); s.onopen = ok; s.onerror = () => fail(new Error("no events")); }),
		text: () => eval("1 + 1"), made: () => new Function("return 2")(),
		database: () => new Promise((ok, fail) => { const r = indexedDB.open("trit"); r.onsuccess = ok; r.onerror = () => fail(new Error("no database")); }),
		cache: () => caches.keys(), store: () => localStorage.length, files: () => navigator.storage.getDirectory(),
	};
	for (const [name, way] of Object.entries(ways)) try { await way(); console.log(name); } catch {}`); got != "nothing" {
		t.Errorf("what the code reaches is %q", got)
	}
	if got := run(`Array(30000).fill("x").join("")`); len(got) > 20_100 || !strings.HasSuffix(got, "(cut after 20000 characters)") {
		t.Errorf("a long result is %d characters: …%s", len(got), got[max(0, len(got)-60):])
	}
	if n := p.count("iframe"); n != 0 {
		t.Errorf("%d frames are left", n)
	}
	if eval[bool](p, `window.pwned !== undefined`) {
		t.Error("the code reached the page")
	}
}

// TestSandboxEnds: JavaScript that never ends is ended, after its time or when somebody stops it.
func TestSandboxEnds(t *testing.T) {
	p, _ := openMock(t)
	p.click("#open-settings")
	p.click(`#set-tools input[value="javascript"]`)
	p.press("Escape")
	p.say("/run for (;;) {}")
	p.until(`document.querySelector(".message.last .content").innerText.startsWith("The tool says ")`)
	if got := strings.TrimPrefix(p.lastAnswer(), "The tool says "); got != "Error: stopped after 5 s" {
		t.Errorf("what never ends gives %q", got)
	}
	// Stop ends it at once, and the call waits for an answer by hand.
	p.begin("/run for (;;) {}")
	p.until(`document.querySelector("iframe")`)
	p.press("Escape")
	p.until(`!document.querySelector("iframe") && document.querySelector(".message.last .tool-form")`)
	p.idle()
	p.shoot("sandbox-stopped")
}
