package browser

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPresets: settings under a name, for every chat.
func TestPresets(t *testing.T) {
	p, server := openMock(t)
	p.click("#open-settings")
	p.script(`document.getElementById("set-system").focus()`)
	p.write("Be a pirate.")
	p.click(`#set-tools input[value="current_date"]`)
	p.script(`document.getElementById("preset-name").focus()`)
	p.write("<b>Pirate</b>")
	p.press("Enter")
	p.until(`document.getElementById("preset").value === "<b>Pirate</b>"`)
	p.shoot("presets")
	p.click("#set-reset")
	p.press("Escape")
	p.reload()
	p.click("#open-settings")
	p.until(`document.getElementById("set-system").value === ""`)
	p.script(`{ const e = document.getElementById("preset"); e.value = "<b>Pirate</b>"; e.dispatchEvent(new Event("change")); }`)
	p.until(`document.getElementById("set-system").value === "Be a pirate." && document.querySelector("#set-tools input[value=current_date]").checked`)
	p.press("Escape")
	p.say("Hello")
	if got := contents(t, lastBody(t, server)); got[0] != "system: Be a pirate." {
		t.Errorf("the request holds %q", got)
	}
	p.click("#open-settings")
	p.script(`{ const e = document.getElementById("preset"); e.value = "<b>Pirate</b>"; e.dispatchEvent(new Event("change")); }`)
	p.click("#preset-delete")
	p.until(`document.querySelectorAll("#preset option").length === 1 && document.getElementById("preset-delete").disabled`)
}

// TestPins: pinned chats come first, whatever else was used since, also after a reload.
func TestPins(t *testing.T) {
	p, _ := openMock(t)
	p.say("First")
	p.click("#new-chat")
	p.say("Second")
	p.until(`document.querySelectorAll(".chat").length === 2`)
	p.script(`[...document.querySelectorAll(".chat-link")].at(-1).focus()`)
	p.press("p")
	first := `document.querySelector(".chat-list h2").innerText.toLowerCase() === "pinned" && document.querySelector(".chat-title").innerText === "First" && document.querySelectorAll(".chat-list h2").length === 2`
	p.until(first)
	p.reload()
	p.until(first)
	p.shoot("pins")
	p.script(`document.querySelector(".chat-link").focus()`)
	p.press("p")
	p.until(`document.querySelector(".chat-title").innerText === "Second" && document.querySelectorAll(".chat-list h2").length === 1`)
}

// TestFolders: chats lie in folders, by key, button and several at once; folders fold, are renamed and found.
func TestFolders(t *testing.T) {
	p, _ := openMock(t)
	for i, text := range []string{"First", "Second", "Third"} {
		p.click("#new-chat")
		p.say(text)
		p.until(fmt.Sprintf(`document.querySelectorAll(".chat").length === %d`, i+1))
	}
	list := `[...document.querySelectorAll(".chat-list > *")].map((e) => e.innerText.replace(/\s+/g, " ").trim().toLowerCase()).join("|")`
	p.script(`document.querySelector(".chat-link").focus()`)
	p.press("m")
	p.until(`document.activeElement.classList.contains("rename")`)
	p.write("<b>Work</b>")
	p.press("Enter")
	p.until(list + ` === "<b>work</b> 1 third|today|second first"`)
	p.until(`document.activeElement.classList.contains("chat-link") && document.activeElement.innerText === "Third"`)
	p.click("#select-chats")
	p.click(`[aria-label="Choose “First”"]`)
	p.click("#select-folder")
	p.until(`document.activeElement.classList.contains("rename") && document.querySelector("#folders option").value === "<b>Work</b>"`)
	p.write("<b>Work</b>")
	p.press("Enter")
	p.until(list + ` === "<b>work</b> 2 third first|today|second"`)
	p.click("#select-chats")
	p.shoot("folders")
	p.click(".folder summary")
	p.until(`!document.querySelector(".folder details").open`)
	p.reload()
	p.until(list + ` === "<b>work</b> 2|today|second"`)
	p.script(`document.getElementById("search").focus()`)
	p.write("work")
	p.until(`document.querySelectorAll(".chat").length === 2 && document.querySelector(".folder details").open`)
	p.press("Escape")
	p.click(".folder summary")
	p.click(`.folder > .icon-button`)
	p.until(`document.activeElement.value === "<b>Work</b>"`)
	p.write("Play")
	p.press("Enter")
	p.until(list + ` === "play 2 third first|today|second"`)
	file := p.exported("#export-all", ".json")
	if strings.Count(file, `"folder": "Play"`) != 2 {
		t.Errorf("the file is %s", file)
	}
	p.click(`.folder [aria-label^="Move “Third”"]`)
	p.until(`document.activeElement.value === "Play"`)
	p.press("Delete")
	p.press("Enter")
	p.until(list + ` === "play 1 first|today|third second"`)
	if eval[bool](p, `window.pwned !== undefined || document.querySelector(".chat-list b") !== null`) {
		t.Error("a folder's name became markup")
	}
}

// TestTitles: the model names a chat after the first answer, if the user wants that, and never before
// what the user asks for.
func TestTitles(t *testing.T) {
	p, server := openMock(t)
	server.SetState("bitnet-b1.58-2b-4t", "loaded", 1)
	p.say("The program's own model knows no titles")
	if n := len(server.Bodies()); n != 1 {
		t.Errorf("the small model gets %d requests", n)
	}
	p.click("#new-chat")
	p.script(`{ const e = document.getElementById("model"); e.value = "bitnet-b1.58-2b-4t"; e.dispatchEvent(new Event("change")); }`)
	p.say("Hello")
	const title = "All about <img src=x onerror=window.pwned=3>"
	p.until(`document.querySelector(".chat-title").innerText === "` + title + `" && document.title === "` + title + ` · Trit"`)
	body := lastBody(t, server)
	if got := contents(t, body); len(got) != 3 || got[1] != "assistant: You said: Hello" || body["max_tokens"] != 40.0 || body["stream"] != nil || body["reasoning_effort"] != "none" {
		t.Errorf("the request for a title is %v", body)
	}
	p.say("And again")
	if n := len(server.Bodies()); n != 4 { // two answers and a title
		t.Errorf("there were %d requests", n)
	}
	p.reload()
	p.until(`document.querySelector(".chat-title").innerText === "` + title + `"`)
	// A title that is under way gives way.
	p.click("#new-chat")
	p.say("/hold")
	deadline := time.Now().Add(5 * time.Second)
	for len(server.Bodies()) < 6 && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	cut := server.CutOff()
	p.say("Hello")
	for server.CutOff() == cut && time.Now().Before(deadline) {
		time.Sleep(20 * time.Millisecond)
	}
	if server.CutOff() == cut {
		t.Error("the request for a title was not given up")
	}
	p.until(`document.querySelector(".chat-title").innerText === "/hold"`)
	p.click("#open-settings")
	p.until(`document.getElementById("set-titles").checked`)
	p.click("#set-titles")
	p.press("Escape")
	p.click("#new-chat")
	before := len(server.Bodies())
	p.say("Hello")
	time.Sleep(200 * time.Millisecond)
	if n := len(server.Bodies()) - before; n != 1 {
		t.Errorf("without titles there were %d requests", n)
	}
	if eval[bool](p, `window.pwned !== undefined`) {
		t.Error("a title became markup")
	}
}

// TestPresetsTravel: presets go along with all chats, and come back beside those that are there.
func TestPresetsTravel(t *testing.T) {
	p, _ := openMock(t)
	p.say("Hello")
	p.click("#open-settings")
	p.script(`document.getElementById("set-system").focus()`)
	p.write("Be a pirate.")
	p.click(`#set-tools input[value="javascript"]`)
	p.script(`document.getElementById("preset-name").focus()`)
	p.write("<b>Pirate</b>")
	p.press("Enter")
	p.press("Escape")
	file := p.exported("#export-all", ".json")
	path := filepath.Join(t.TempDir(), "all.json")
	load := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		p.upload("#import-file", path)
	}
	names := `(JSON.parse(localStorage.getItem("trit.presets") ?? "[]").map(({ name }) => name).join("|"))`
	load(file) // the same once more
	p.until(`document.querySelectorAll(".chat").length === 2 && ` + names + ` === "<b>Pirate</b>"`)
	load(strings.Replace(file, `"presets"`, `"presets_"`, 1)) // a file of before
	p.until(`document.querySelectorAll(".chat").length === 3`)
	load(`{"format": "trit-chats", "version": 1, "conversations": [], "presets": [{"name": "<b>Pirate</b>", "settings": {"system": "<img src=x onerror=window.pwned=1>", "tools": ["evil", "calculator"]}}, {"name": 5}, null]}`)
	p.until(names + ` === "<b>Pirate</b>|<b>Pirate</b> (2)"`)
	p.click("#open-settings")
	p.script(`{ const e = document.getElementById("preset"); e.value = "<b>Pirate</b> (2)"; e.dispatchEvent(new Event("change")); }`)
	p.until(`document.getElementById("set-system").value.startsWith("<img") && document.querySelectorAll("#set-tools input:checked").length === 1`)
	p.script(`{ const e = document.getElementById("preset"); e.value = "<b>Pirate</b>"; e.dispatchEvent(new Event("change")); }`)
	p.until(`document.getElementById("set-system").value === "Be a pirate." && document.querySelector("#set-tools input[value=javascript]").checked`)
	if eval[bool](p, `window.pwned !== undefined`) {
		t.Error("a preset became markup")
	}
}

// TestChooseSeveral: several chats are exported and deleted at once, and come back at once.
func TestChooseSeveral(t *testing.T) {
	p, _ := openMock(t)
	for i, text := range []string{"First", "Second", "Third"} {
		p.click("#new-chat")
		p.say(text)
		p.until(fmt.Sprintf(`document.querySelectorAll(".chat").length === %d`, i+1))
	}
	p.click("#select-chats")
	p.until(`document.getElementById("select-delete").disabled`)
	p.click(`[aria-label="Choose “First”"]`)
	p.click(".chat-link") // the newest, Third: its box is meant
	p.until(`document.getElementById("select-count").textContent === "2 chosen"`)
	p.shoot("choose")
	file := p.exportedBy(".json", func() { p.click("#select-export") })
	if strings.Count(file, `"title"`) != 2 || strings.Contains(file, "Second") {
		t.Errorf("the file is %s", file)
	}
	p.click("#select-delete")
	titles := `[...document.querySelectorAll(".chat-title")].map((e) => e.innerText).sort().join()`
	p.until(titles + ` === "Second" && document.getElementById("select-bar").hidden && location.hash === "#/"`)
	p.click(".toast .link")
	p.until(titles + ` === "First,Second,Third"`)
	p.click("#select-chats")
	p.click("#select-all")
	p.until(`document.querySelectorAll(".chat input:checked").length === 3`)
	p.click("#select-chats")
	p.until(`!document.querySelector(".chat input")`)
}

// exported clicks on a button of the dialog and returns the file that would be saved.
func (p *page) exported(button, ending string) string {
	p.t.Helper()
	return p.exportedBy(ending, func() {
		p.click("#open-data")
		p.click(button)
	})
}

// exportedBy returns the file that would be saved by what act does.
func (p *page) exportedBy(ending string, act func()) string {
	p.t.Helper()
	p.script(`window.saved = null; { const create = URL.createObjectURL.original ?? URL.createObjectURL;
		URL.createObjectURL = (blob) => { window.saved = blob.text(); return create(blob); }; URL.createObjectURL.original = create; }
		HTMLAnchorElement.prototype.click = function () { window.savedAs = this.download; };`)
	act()
	p.until(`window.saved`)
	if name := eval[string](p, `window.savedAs`); !strings.HasSuffix(name, ending) {
		p.t.Errorf("the file is called %s", name)
	}
	return eval[string](p, `window.saved`)
}

// TestShare: a chat as Markdown and as a page of its own, in which markup stays text.
func TestShare(t *testing.T) {
	p, _ := openMock(t)
	p.give(`DragEvent("drop"`, "dataTransfer", `"a.txt"`, `"</script><script>window.pwned=1</script>"`)
	p.until(`document.querySelectorAll(".file-chip").length === 1`)
	p.say("Read it")
	p.say("/hostile")
	p.say("/math")
	markdown := p.exported("#export-md", ".md")
	if !strings.HasPrefix(markdown, "# Read it\n\n## You\n\nFile \"a.txt\":\n```\n</script>") || !strings.Contains(markdown, "## demo\n\nThe solutions of $ax^2 + bx + c = 0$ are\n") {
		t.Errorf("the Markdown is %.300q", markdown)
	}
	html := p.exported("#export-page", ".html")
	for _, want := range []string{"<!doctype html>", `content="default-src 'none'; style-src 'unsafe-inline'"`, "<math display=\"block\"", "&lt;script&gt;window.pwned=2&lt;/script&gt;"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page does not hold %q", want)
		}
	}
	for _, bad := range []string{"<script", "<img", "<iframe", "<button", `<a href="javascript`} {
		if strings.Contains(html, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	// It is a page that a browser shows, and in which nothing runs.
	path := filepath.Join(t.TempDir(), "shared.html")
	if err := os.WriteFile(path, []byte(html), 0o644); err != nil {
		t.Fatal(err)
	}
	origin := p.origin
	p.origin = "file://"
	p.navigate("file://" + path)
	p.until(`document.querySelectorAll("h2").length === 6 && document.querySelector("math mfrac") && window.pwned === undefined`)
	p.shoot("shared-page")
	p.origin = origin
}

// TestRightToLeft: the script decides where a line begins.
func TestRightToLeft(t *testing.T) {
	p, _ := openMock(t)
	p.say("/echo שלום, מה שלומך?\n\n- אחת\n- שתיים\n\nHello")
	for selector, want := range map[string]string{".content p": "rtl", ".content ul": "rtl", ".content > p:last-child": "ltr"} {
		if got := eval[string](p, fmt.Sprintf(`getComputedStyle(document.querySelector(%q)).direction`, selector)); got != want {
			t.Errorf("%s goes %s, want %s", selector, got, want)
		}
	}
	p.shoot("right-to-left")
}
