package browser

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"trit/e2e/browser/mock"
)

func TestSendAndStream(t *testing.T) {
	p, server := openMock(t)
	p.begin("Hello")
	// The answer grows while it arrives.
	p.until(`(document.querySelector(".assistant .content")?.innerText ?? "").startsWith("You")`)
	p.idle()
	if got := p.lastAnswer(); got != "You said: Hello" {
		t.Errorf("the answer is %q", got)
	}
	body := lastBody(t, server)
	if body["model"] != "demo" || body["stream"] != true {
		t.Errorf("model %v, stream %v", body["model"], body["stream"])
	}
	if options, _ := body["stream_options"].(map[string]any); options["include_usage"] != true {
		t.Errorf("stream_options is %v", body["stream_options"])
	}
	for _, name := range []string{"temperature", "top_p", "top_k", "min_p", "repetition_penalty", "seed", "max_tokens", "stop"} {
		if value, ok := body[name]; ok {
			t.Errorf("%s is sent as %v though nobody set it", name, value)
		}
	}
	if got := p.text("#meter-text"); got != "16 of 512 tokens" {
		t.Errorf("the meter says %q", got)
	}
	if got := p.text(".stats"); !strings.Contains(got, "4 tokens · ") || !strings.Contains(got, "tokens/s") {
		t.Errorf("the statistics say %q", got)
	}
	if got := eval[string](p, `document.title`); got != "Hello · Trit" {
		t.Errorf("the title is %q", got)
	}
	p.until(`document.getElementById("live").textContent === "Answer: You said: Hello"`)
	p.press("k", control)
	if got := eval[string](p, `document.getElementById("input").value`); got != "" {
		t.Errorf("a new chat begins with the draft %q", got)
	}
	p.click(".chat-link")
	p.until(`document.querySelector(".content")?.innerText === "You said: Hello"`)
	p.say("Again")
	want := []string{"user: Hello", "assistant: You said: Hello", "user: Again"}
	if got := contents(t, lastBody(t, server)); !slices.Equal(got, want) {
		t.Errorf("the request holds %q, want %q", got, want)
	}
}

func TestStop(t *testing.T) {
	p, server := openMock(t)
	p.begin("/slow")
	p.until(`document.querySelector(".assistant .content").innerText.length > 30`)
	p.press("Escape")
	p.idle()
	p.until(`document.querySelector(".note")?.innerText === "Stopped"`)
	length := len(p.lastAnswer())
	time.Sleep(300 * time.Millisecond)
	if now := len(p.lastAnswer()); now != length || now == 0 {
		t.Errorf("after the stop the answer went from %d to %d characters", length, now)
	}
	deadline := time.Now().Add(5 * time.Second)
	for server.CutOff() == 0 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	if server.CutOff() == 0 {
		t.Error("the server was not told")
	}
	// The button stops as well.
	p.begin("/slow")
	p.until(`document.querySelectorAll(".assistant")[1]?.innerText.length > 30`)
	p.click("#send")
	p.idle()
}

func TestRegenerateAndVersions(t *testing.T) {
	p, server := openMock(t)
	p.say("/echo one")
	p.say("/echo two")
	p.click(`.message.last [aria-label="Answer again"]`)
	p.idle()
	p.until(`document.querySelector(".message.last .count").innerText === "2/2"`)
	if got := contents(t, lastBody(t, server)); got[len(got)-1] != "user: /echo two" {
		t.Errorf("the answer to %q was asked for again", got)
	}
	p.click(`.message.last [aria-label="Earlier version"]`)
	p.until(`document.querySelector(".message.last .count").innerText === "1/2"`)
}

func TestEditKeepsWhatWas(t *testing.T) {
	p, server := openMock(t)
	p.say("/echo one")
	p.say("/echo two")
	p.press("ArrowUp")
	p.until(`document.activeElement.closest(".editor")`)
	p.script(`document.activeElement.select()`)
	p.write("/echo three")
	p.press("Enter")
	p.until(`document.querySelectorAll(".message").length === 4 && document.querySelectorAll(".content")[1].innerText === "three"`)
	p.idle()
	if got := contents(t, lastBody(t, server)); !slices.Equal(got, []string{"user: /echo one", "assistant: one", "user: /echo three"}) {
		t.Errorf("the request holds %q", got)
	}
	p.click(`.message.user:nth-of-type(3) [aria-label="Earlier version"]`)
	p.until(`document.querySelectorAll(".content")[1].innerText === "two"`)
	p.until(`document.activeElement.getAttribute("aria-label") === "Later version"`)
	// Escape leaves the message as it was, and what was typed comes back.
	p.script(`document.getElementById("input").focus()`)
	p.press("ArrowUp")
	p.until(`document.activeElement.closest(".editor")`)
	p.write(" half")
	p.press("Escape")
	p.until(`!document.querySelector(".editor") && document.activeElement.id === "input"`)
	p.press("ArrowUp")
	p.until(`document.activeElement.value === "/echo two half"`)
}

func TestReloadKeepsTheConversation(t *testing.T) {
	p, _ := openMock(t)
	p.say("/echo remember me")
	p.write("a draft")
	p.reload()
	p.until(`document.documentElement.dataset.ready === "true" && document.querySelector(".content")?.innerText === "remember me"`)
	p.until(`document.getElementById("input").value === "a draft"`)
	if got := p.text(".chat-title"); got != "/echo remember me" {
		t.Errorf("the list says %q", got)
	}
	// An answer that is cut off by a reload is kept as far as it came.
	p.script(`document.getElementById("input").value = ""`)
	p.begin("/slow")
	p.until(`document.querySelectorAll(".content")[1]?.innerText.length > 60`)
	time.Sleep(time.Second)
	p.reload()
	p.until(`document.querySelectorAll(".content")[1]?.innerText.length > 30 && document.querySelector(".message.last :is(.note, .card[data-kind=broken])")`)
}

func TestDeleteAndUndo(t *testing.T) {
	p, _ := openMock(t)
	p.say("/echo one")
	p.say("/echo two")
	p.click(`.message.last [aria-label="Delete from here on"]`)
	p.until(`document.querySelectorAll(".message").length === 3`)
	p.click(`.toast .link`)
	p.until(`document.querySelectorAll(".message").length === 4`)
	p.click(`.chat [aria-label^="Delete"]`)
	p.until(`document.querySelectorAll(".chat").length === 0 && document.querySelectorAll(".message").length === 0`)
	p.click(`.toast .link`)
	p.until(`document.querySelectorAll(".chat").length === 1 && document.querySelectorAll(".message").length === 4`)
}

func TestList(t *testing.T) {
	p, _ := openMock(t)
	p.say("/echo apples and pears")
	p.press("k", control)
	p.until(`document.querySelectorAll(".message").length === 0 && document.activeElement.id === "input"`)
	p.say("/echo bananas")
	p.until(`document.querySelectorAll(".chat").length === 2`)
	p.script(`document.getElementById("search").focus()`)
	p.write("PEARS")
	p.until(`document.querySelectorAll(".chat").length === 1 && document.querySelector(".snippet").innerText.includes("pears")`)
	p.write("x")
	p.until(`document.querySelector(".none")?.innerText.includes("PEARSx")`)
	p.press("Escape")
	p.until(`document.querySelectorAll(".chat").length === 2`)
	p.press("ArrowDown")
	p.press("F2")
	p.until(`document.activeElement.classList.contains("rename")`)
	p.write("Yellow things")
	p.press("Enter")
	p.until(`document.querySelector(".chat-title").innerText === "Yellow things" && document.title === "Yellow things · Trit"`)
	p.click(`.chat:nth-child(2) .chat-link`)
	p.until(`document.querySelector(".content")?.innerText === "apples and pears"`)
	p.script(`history.back()`)
	p.until(`document.querySelector(".content")?.innerText === "bananas"`)
}

func TestSettingsChangeTheRequest(t *testing.T) {
	p, server := openMock(t)
	p.click("#open-settings")
	fill := func(id, value string) {
		t.Helper()
		p.script(fmt.Sprintf(`{ const e = document.getElementById(%q); e.value = %q; e.dispatchEvent(new Event("input", {bubbles: true})); }`, id, value))
	}
	fill("set-system", "Speak like a pirate.")
	fill("set-temperature", "0.25")
	fill("set-top_p", "0.9")
	fill("set-top_k", "17")
	fill("set-min_p", "0.02")
	fill("set-repetition_penalty", "1.1")
	fill("set-seed", "42")
	fill("set-max_tokens", "99")
	fill("set-stop", "END\nSTOP")
	fill("set-extra", `{"presence_penalty": 0.5}`)
	p.press("Escape")
	p.until(`!document.querySelector("dialog[open]") && !document.getElementById("settings-dot").hidden`)
	p.say("Hi")
	body := lastBody(t, server)
	for name, want := range map[string]any{
		"temperature": 0.25, "top_p": 0.9, "top_k": 17.0, "min_p": 0.02, "repetition_penalty": 1.1, "seed": 42.0, "max_tokens": 99.0, "presence_penalty": 0.5,
	} {
		if body[name] != want {
			t.Errorf("%s is %v, want %v", name, body[name], want)
		}
	}
	if stop, _ := body["stop"].([]any); len(stop) != 2 || stop[0] != "END" || stop[1] != "STOP" {
		t.Errorf("stop is %v", body["stop"])
	}
	if got := contents(t, body); !slices.Equal(got, []string{"system: Speak like a pirate.", "user: Hi"}) {
		t.Errorf("the request holds %q", got)
	}
	// Values that are not allowed are said to be so and not sent.
	p.click("#open-settings")
	fill("set-temperature", "9")
	fill("set-extra", `{"messages": []}`)
	p.until(`document.getElementById("set-temperature-problem").innerText.includes("from 0 to 2") && document.getElementById("set-extra-problem").innerText.includes("messages")`)
	p.press("Escape")
	p.say("Hi again")
	body = lastBody(t, server)
	if _, ok := body["temperature"]; ok || len(contents(t, body)) != 4 {
		t.Errorf("temperature %v, messages %v", body["temperature"], body["messages"])
	}
	// Settings belong to their chat, unless they are made the default.
	p.press("k", control)
	p.say("Hi")
	if body = lastBody(t, server); body["seed"] != nil {
		t.Errorf("a new chat has the seed %v", body["seed"])
	}
	p.click("#open-settings")
	fill("set-seed", "7")
	p.click("#set-default")
	p.press("Escape")
	p.press("k", control)
	p.say("Hi")
	if body = lastBody(t, server); body["seed"] != 7.0 {
		t.Errorf("with 7 as the default a new chat has the seed %v", body["seed"])
	}
	p.script(`{ const e = document.getElementById("model"); e.value = "bitnet-b1.58-2b-4t"; e.dispatchEvent(new Event("change")); }`)
	p.say("Hi")
	if body = lastBody(t, server); body["model"] != "bitnet-b1.58-2b-4t" {
		t.Errorf("the model is %v", body["model"])
	}
	p.until(`document.getElementById("meter-text").innerText.endsWith("of 4,096 tokens")`)
}

func TestHostileAnswerDoesNothing(t *testing.T) {
	p, _ := openMock(t)
	p.say("/hostile")
	if !strings.HasSuffix(p.lastAnswer(), "The end of it.") {
		t.Fatalf("the answer is %q", p.lastAnswer())
	}
	p.script(`for (const e of document.querySelectorAll(".content a")) { e.target = ""; e.addEventListener("click", (event) => event.preventDefault()); e.click(); }`)
	time.Sleep(300 * time.Millisecond)
	if got := eval[string](p, `String(window.pwned)`); got != "undefined" {
		t.Errorf("something ran: %s", got)
	}
	if n := p.count(`.content :is(img, script, iframe, svg:not(.icon), style, base, form, meta, object, embed, input, video, audio)`); n != 0 {
		t.Errorf("the answer made %d elements that it must not make", n)
	}
	links := eval[[]string](p, `[...document.querySelectorAll(".content a")].map((a) => a.protocol + " " + a.rel)`)
	for _, link := range links {
		if !strings.HasPrefix(link, "https: noopener") {
			t.Errorf("a link is %s", link)
		}
	}
	handlers := eval[int](p, `[...document.querySelectorAll(".content *")].filter((e) => [...e.attributes].some((a) => a.name.startsWith("on") || a.name === "style")).length`)
	if handlers != 0 {
		t.Errorf("%d elements have handlers or styles", handlers)
	}
	for _, text := range []string{`<img src=x onerror="window.pwned=1">`, `[click](javascript:window.pwned=3)`, `<script>window.pwned=15</script>`, `(data:text/html`} {
		if !strings.Contains(p.lastAnswer(), text) {
			t.Errorf("%s is not shown as text", text)
		}
	}
	// Titles of chats and messages of the user are no markup either.
	p.say(`<img src=x onerror=window.pwned=99>`)
	p.press("k", control)
	p.say(`<b onclick=window.pwned=98>title</b>`)
	p.until(`document.querySelector(".chat-title").innerText.startsWith("<b onclick")`)
	if got := eval[string](p, `String(window.pwned)`); got != "undefined" {
		t.Errorf("something ran: %s", got)
	}
}

// contention says how many programs share a processor now, at least 1, where
// the system tells: a page cannot be faster than its share.
func contention() float64 {
	data, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 1
	}
	var load float64
	if _, err := fmt.Sscan(string(data), &load); err != nil {
		return 1
	}
	return min(5, max(1, load/float64(runtime.NumCPU())))
}

// startPulse begins to measure the longest time for which the page does not respond.
func (p *page) startPulse() {
	p.t.Helper()
	p.script(`window.longest = 0; window.last = performance.now(); clearInterval(window.beat);
		window.beat = setInterval(() => { const now = performance.now(); window.longest = Math.max(window.longest, now - window.last); window.last = now; }, 5)`)
}

// longest returns what has been measured, with everything drawn.
func (p *page) longest() time.Duration {
	p.t.Helper()
	p.script(`new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))`)
	return time.Duration(eval[float64](p, `window.longest`) * float64(time.Millisecond))
}

func TestBombs(t *testing.T) {
	limit := time.Duration(float64(time.Second) * contention())
	p, _ := openMockAlone(t)
	for name, bomb := range mock.Bombs() {
		if len(bomb) < 90_000 {
			t.Fatalf("%s has only %d bytes", name, len(bomb))
		}
		// A busy machine makes everything slow now and then: the best of three counts.
		var longest time.Duration
		for try := 1; try <= 3; try++ {
			p.press("k", control)
			p.until(`document.querySelectorAll(".message").length === 0`)
			p.startPulse()
			p.say("/bomb " + name)
			longest = p.longest()
			t.Logf("%-10s %5d ms, %d elements", name, longest.Milliseconds(), p.count(".content *"))
			if longest < limit {
				break
			}
		}
		if longest > limit {
			t.Errorf("%s: the page stood still for %v", name, longest)
		}
	}
}

func TestLongAnswerStaysSmooth(t *testing.T) {
	p, _ := openMockAlone(t)
	p.startPulse()
	p.say("/long")
	if want := mock.Long(60_000); !strings.Contains(want, fmt.Sprintf("Part %d", p.count(".content h5"))) {
		t.Errorf("%d headings are shown", p.count(".content h5"))
	}
	longest := p.longest()
	t.Logf("the longest pause was %v", longest)
	if longest > time.Duration(float64(time.Second)*contention()) {
		t.Errorf("the page stood still for %v", longest)
	}
	// What was shown piece by piece is what is shown at once.
	grown := eval[string](p, `document.querySelector(".content").outerHTML`)
	p.reload()
	p.until(`document.documentElement.dataset.ready === "true" && document.querySelector(".content")`)
	if whole := eval[string](p, `document.querySelector(".content").outerHTML`); whole != grown {
		t.Error("the answer looks different after a reload")
	}
}

func TestThinkingAndTools(t *testing.T) {
	p, _ := openMock(t)
	p.say("/think")
	p.until(`document.querySelector(".thoughts summary")`)
	// It is folded, and says how much it is. The script's server counts no tokens, so the pieces count.
	if got := eval[string](p, `document.querySelector(".thoughts summary").innerText.trim()`); got != "Thoughts · 2 tokens" {
		t.Errorf("the summary is %q", got)
	}
	p.click(".thoughts summary")
	p.until(`document.querySelector(".thought").innerText === "The user greets me. I should greet back." && document.querySelector(".thought strong")`)
	if got := p.lastAnswer(); got != "Hello to you too." {
		t.Errorf("the answer is %q", got)
	}
	p.say("/tags")
	if got := p.lastAnswer(); got != "Outside of them." || p.count(".thoughts details") != 2 {
		t.Errorf("the answer is %q with %d thoughts", got, p.count(".thoughts details"))
	}
	p.say("/tool")
	p.until(`document.querySelector(".card.tool textarea").value.includes('"city": "Paris"') && document.querySelector(".card.tool code").innerText === "get_weather"`)
}

func TestExportAndImport(t *testing.T) {
	p, _ := openMock(t)
	p.say("/echo carry me over")
	// What the browser would save is caught on its way.
	p.script(`window.saved = null; { const create = URL.createObjectURL; URL.createObjectURL = (blob) => { window.saved = blob.text(); return create(blob); }; }
		HTMLAnchorElement.prototype.click = function () { window.savedAs = this.download; };`)
	p.click("#open-data")
	p.click("#export-all")
	p.until(`window.saved`)
	file := eval[string](p, `window.saved`)
	var parsed struct {
		Format        string
		Version       int
		Conversations []json.RawMessage
	}
	if err := json.Unmarshal([]byte(file), &parsed); err != nil || parsed.Format != "trit-chats" || parsed.Version != 1 || len(parsed.Conversations) != 1 {
		t.Fatalf("the file is %s (%v)", file, err)
	}
	if name := eval[string](p, `window.savedAs`); !strings.HasPrefix(name, "trit-chats-") || !strings.HasSuffix(name, ".json") {
		t.Errorf("the file is called %s", name)
	}
	p.click("#open-data")
	p.click("#delete-all")
	p.until(`document.querySelectorAll(".chat").length === 0`)
	path := filepath.Join(t.TempDir(), "chats.json")
	load := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p.upload("#import-file", path)
	}
	load(file)
	p.until(`document.querySelectorAll(".chat").length === 1 && document.querySelector(".content")?.innerText === "carry me over"`)
	load(file) // again: a second chat, nothing overwritten
	p.until(`document.querySelectorAll(".chat").length === 2`)
	load(`[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "<img src=x onerror=window.pwned=1>"}, {"role": "assistant", "content": "**bold** <script>window.pwned=2</script>"}]`)
	p.until(`document.querySelectorAll(".chat").length === 3 && document.querySelector(".content strong")`)
	load(`{"format": "trit-chats", "version": 1, "conversations": [{"id": "__proto__", "messages": [{"id": 7, "parent": 7, "role": "user", "content": 3}, {"role": "tool"}, null]}, 4]}`)
	p.until(`[...document.querySelectorAll(".toast")].some((t) => t.innerText.includes("no chats"))`)
	load(`not json`)
	p.until(`[...document.querySelectorAll(".toast")].some((t) => t.innerText.includes("not JSON"))`)
	if got := eval[string](p, `String(window.pwned)`); got != "undefined" {
		t.Errorf("something ran: %s", got)
	}
}

func TestFullStorageIsShown(t *testing.T) {
	p, _ := openMock(t)
	p.script(`IDBObjectStore.prototype.put = function () { throw new DOMException("full", "QuotaExceededError"); }`)
	p.say("Hello")
	p.until(`document.getElementById("notices").innerText.includes("storage is full")`)
	if got := p.lastAnswer(); got != "You said: Hello" {
		t.Errorf("the answer is %q", got)
	}
}

func TestKeysAndFocus(t *testing.T) {
	p, _ := openMock(t)
	p.until(`document.activeElement.id === "input"`)
	p.script(`document.activeElement.blur()`)
	p.press("?")
	p.until(`document.querySelector("#keys[open]")`)
	p.press("Escape")
	p.until(`!document.querySelector("dialog[open]")`)
	p.script(`document.activeElement.blur()`)
	p.press("/")
	p.until(`document.activeElement.id === "input" && document.activeElement.value === ""`)
	p.write("line")
	p.press("Enter", shift)
	p.write("two")
	p.until(`document.getElementById("input").value === "line\ntwo"`)
	p.press("b", control)
	p.until(`document.getElementById("sidebar").inert && document.activeElement.id === "show-sidebar"`)
	p.press("b", control)
	p.until(`!document.getElementById("sidebar").inert`)
	time.Sleep(300 * time.Millisecond) // it slides
	p.click("#theme")
	p.until(`document.documentElement.dataset.choice === "light" && document.documentElement.dataset.theme === "light"`)
	p.click("#theme")
	p.until(`document.documentElement.dataset.theme === "dark"`)
	p.reload()
	p.until(`document.documentElement.dataset.ready === "true" && document.documentElement.dataset.theme === "dark"`)
}

// TestWorksEverywhereItIsServed opens the page at its three addresses.
func TestWorksEverywhereItIsServed(t *testing.T) {
	p, _ := openMock(t)
	for _, path := range []string{"/ui", "/ui/", "/"} {
		p.navigate(p.origin + path)
		p.until(`document.documentElement.dataset.ready === "true" && document.getElementById("model").value === "demo"`)
		p.say("Hello")
		if got := p.lastAnswer(); got != "You said: Hello" {
			t.Errorf("at %s the answer is %q", path, got)
		}
	}
}
