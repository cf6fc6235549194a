package browser

import (
	"fmt"
	"testing"
)

// TestLanguages: the page speaks the language that is chosen, or the browser's; numbers, too.
func TestLanguages(t *testing.T) {
	p, _ := openMock(t)
	p.until(`document.documentElement.lang === "en"`)
	p.say("/echo <b>one</b>")
	choose := func(code string) {
		t.Helper()
		p.click("#open-settings")
		p.script(fmt.Sprintf(`window.before = true; { const e = document.getElementById("set-language"); e.value = %q; e.dispatchEvent(new Event("change")); }`, code))
		p.until(`!window.before && document.documentElement.dataset.ready === "true"`)
	}
	choose("de")
	p.until(`document.documentElement.lang === "de" && document.querySelector("#new-chat span").textContent === "Neuer Chat" && document.getElementById("send").title === "Senden (Eingabe)"`)
	p.until(`document.querySelector(".group").textContent === "Heute" && document.querySelector(".content").innerText === "<b>one</b>"`)
	p.script(`{ const e = document.getElementById("model"); e.value = "bitnet-b1.58-2b-4t"; e.dispatchEvent(new Event("change")); }`)
	p.until(`document.getElementById("meter-text").textContent === "15 von 4.096 Tokens"`)
	p.shoot("german")
	p.click("#open-settings")
	p.shoot("german-settings")
	p.press("Escape")
	// What is left in English is what came from the server or the user.
	english := eval[[]string](p, `(() => {
		const texts = [];
		const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
		while (walk.nextNode()) if (!walk.currentNode.parentElement.closest("script, noscript, .messages, option, .chat-title, #title, kbd")) texts.push(walk.currentNode.data);
		for (const name of ["aria-label", "title", "placeholder"]) for (const e of document.querySelectorAll("[" + name + "]")) texts.push(e.getAttribute(name));
		return texts.filter((text) => /\b(the|and|of|chat is|this|with|delete|send|answer|settings|keep)\b/i.test(text));
	})()`)
	for _, text := range english {
		t.Errorf("this is not German: %s", text)
	}
	choose("")
	p.until(`document.documentElement.lang === "en"`)
	p.speak("de-AT")
	p.reload()
	p.until(`document.documentElement.lang === "de"`)
}

// TestPhone: on a phone nothing sticks out of dialogs and the list, in the language with the longest words, too.
func TestPhone(t *testing.T) {
	p, _ := openMock(t)
	p.say("/showcase")
	for _, language := range []string{"en", "de"} {
		p.script(`localStorage.setItem("trit.language", "` + language + `")`)
		p.reload()
		p.emulate(language == "de", 360, 740, true)
		out := func(where, selector string) {
			t.Helper()
			for _, problem := range eval[[]string](p, fmt.Sprintf(`((box) => {
				const { left, right } = box.getBoundingClientRect();
				const inner = [...box.querySelectorAll("*")].filter((e) => !e.closest("svg, pre, .sr-only, [hidden]") && e.checkVisibility());
				return inner.filter((e) => { const r = e.getBoundingClientRect(); return r.width > 0 && (r.right > right + 1 || r.left < left - 1); }).map((e) => e.outerHTML.slice(0, 150));
			})(document.querySelector(%q))`, selector)) {
				t.Errorf("%s, %s: this sticks out: %s", language, where, problem)
			}
		}
		out("the page", "main")
		for _, dialog := range []string{"settings", "models"} {
			p.click("#open-" + dialog)
			p.script(`document.querySelector("dialog[open] :is(.drawer-body, .rows)")?.scrollTo(0, 9999)`)
			out(dialog, "#"+dialog)
			p.press("Escape")
		}
		p.click("#show-sidebar")
		p.until(`document.querySelector(".with-sidebar")`)
		p.click("#select-chats")
		p.click("#select-all")
		out("the list", "#sidebar")
		p.shoot("phone-list-" + language)
		p.click("#select-chats")
		for _, dialog := range []string{"data", "keys", "key"} {
			p.click("#open-" + dialog)
			out(dialog, "#"+dialog)
			p.shoot("phone-" + dialog + "-" + language)
			p.press("Escape")
		}
		p.press("Escape")
		p.until(`!document.querySelector(".with-sidebar")`)
	}
}
