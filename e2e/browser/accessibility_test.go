package browser

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"testing"
	"time"
)

// TestAccessibility lets axe-core look at the page, in both themes and on a phone.
// It needs the npm package (see README.md) and is skipped without it.
func TestAccessibility(t *testing.T) {
	axe, err := os.ReadFile("node_modules/axe-core/axe.min.js")
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("axe-core is not installed: npm install --no-package-lock")
	}
	if err != nil {
		t.Fatal(err)
	}
	p, _ := openMock(t)
	p.script(string(axe) + ";0")
	check := func(where string) {
		t.Helper()
		time.Sleep(50 * time.Millisecond) // colours are measured, so nothing may be fading in
		p.until(`document.getAnimations().every((a) => a.playState !== "running" || a.effect.getTiming().iterations === Infinity)`)
		// An answer's headings follow the model's levels, which may skip some.
		report := eval[string](p, `axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"], rules: {"heading-order": {enabled: false}}})
			.then((r) => JSON.stringify(r.violations.flatMap((v) => v.nodes.map((n) => v.id + ": " + n.html.slice(0, 200) + " " + n.failureSummary))))`)
		var violations []string
		if err := json.Unmarshal([]byte(report), &violations); err != nil {
			t.Fatal(err)
		}
		for _, violation := range violations {
			t.Errorf("%s: %s", where, violation)
		}
	}
	for _, dark := range []bool{false, true} {
		p.emulate(dark, 1280, 820, false)
		check("empty")
		p.say("/showcase")
		check("answer")
		p.say("/tool")
		p.say("/think")
		p.say("/math")
		check("formulas")
		p.click(".message.last .stats")
		check("figures")
		p.give(`DragEvent("drop"`, "dataTransfer", `"big.txt"`, `"word".repeat(600)`)
		p.until(`document.getElementById("files-warning").textContent !== ""`)
		check("files")
		p.click(`[aria-label="Remove big.txt"]`)
		p.press("ArrowUp")
		check("editor")
		p.press("Escape")
		for _, dialog := range []string{"settings", "models", "key", "data", "keys"} {
			p.click("#open-" + dialog)
			check(dialog)
			p.press("Escape")
		}
		p.script(`document.querySelector(".chat-link").focus()`)
		p.press("m")
		check("moving to a folder")
		p.write("Work")
		p.press("Enter")
		p.until(`document.querySelector(".folder")`)
		p.click("#select-chats")
		check("folders")
		p.click("#select-chats")
		p.click("#new-chat")
	}
	p.emulate(false, 360, 740, true)
	check("phone")
	p.script(`document.getElementById("input").focus()`)
	p.write("/showcase")
	if eval[bool](p, `matchMedia("(hover: none) and (pointer: coarse)").matches`) { // Firefox cannot pretend
		p.press("Enter") // a new line, as on every touch keyboard
		p.until(`document.getElementById("input").value === "/showcase\n"`)
	}
	p.click("#send")
	p.until(`document.querySelector(".stats")`)
	check("answer on a phone")
	if wide := eval[int](p, `document.documentElement.scrollWidth`); wide > 360 {
		t.Errorf("the page is %d pixels wide on a phone of 360", wide)
	}
	p.click("#show-sidebar")
	p.click("#select-chats")
	check("list on a phone")
	p.script(`localStorage.setItem("trit.language", "de")`)
	p.reload()
	p.script(string(axe) + ";0")
	check("in German")
}
