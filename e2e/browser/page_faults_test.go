package browser

import (
	"fmt"
	"testing"
	"time"
)

func TestKey(t *testing.T) {
	p, server := openMock(t)
	p.allow("401")
	server.RequireKey("secret")
	p.begin("Hello")
	p.until(`document.querySelector("#key[open]")`)
	p.write("wrong")
	p.press("Enter")
	p.until(`document.querySelector("#key[open]") && document.getElementById("key-text").innerText.includes("refused")`)
	p.script(`document.getElementById("key-input").select()`)
	p.write("secret")
	p.press("Enter")
	p.until(`document.querySelector(".content")?.innerText === "You said: Hello"`)
	p.idle()
	if got := eval[string](p, `sessionStorage.getItem("trit.key") + " " + localStorage.getItem("trit.key")`); got != "secret null" {
		t.Errorf("the key is kept as %q", got)
	}
	p.reload()
	p.until(`document.documentElement.dataset.ready === "true" && document.querySelector(".content")`)
	p.say("And again")
	// Without a key: cancelling leaves the message and a way to go on.
	server.RequireKey("other")
	p.begin("Third")
	p.until(`document.querySelector("#key[open]")`)
	p.press("Escape")
	p.until(`document.querySelector(".card.error[data-kind=auth]")`)
	p.click(".card.error .button.primary")
	p.until(`document.querySelector("#key[open]")`)
	p.script(`document.getElementById("key-input").select()`)
	p.write("other")
	p.click("#key-remember")
	p.click("#key .button.primary")
	p.until(`[...document.querySelectorAll(".content")].at(-1)?.innerText === "You said: Third"`)
	if got := eval[string](p, `sessionStorage.getItem("trit.key") + " " + localStorage.getItem("trit.key")`); got != "null other" {
		t.Errorf("the key is kept as %q", got)
	}
}

func TestBusyAndLoading(t *testing.T) {
	for _, test := range []struct {
		status int
		kind   string
		says   string
	}{{429, "busy", "The server is busy."}, {503, "loading", "The model is loading."}} {
		t.Run(test.kind, func(t *testing.T) {
			p, server := openMock(t)
			p.allow(fmt.Sprint(test.status))
			server.Fail(test.status, 1, 2)
			begun := time.Now()
			p.begin("Hello")
			p.until(fmt.Sprintf(`document.querySelector(".card.waiting[data-kind=%s]")?.innerText.includes(%q)`, test.kind, test.says))
			p.idle()
			if got := p.lastAnswer(); got != "You said: Hello" {
				t.Errorf("the answer is %q", got)
			}
			if waited := time.Since(begun); waited < 2*time.Second {
				t.Errorf("it came again after %v, not after Retry-After", waited)
			}
			server.Fail(test.status, 1, 600)
			p.begin("Now")
			p.click(".card.waiting .button")
			p.idle()
			if got := p.lastAnswer(); got != "You said: Now" {
				t.Errorf("the answer is %q", got)
			}
			server.Fail(test.status, 1, 600)
			p.begin("Never mind")
			p.until(`document.querySelector(".card.waiting")`)
			p.press("Escape")
			p.until(`!document.querySelector(".card.waiting")`)
		})
	}
}

func TestFailures(t *testing.T) {
	p, server := openMock(t)
	for _, text := range []string{"500", "400", "net::", "ERR_"} {
		p.allow(text)
	}
	p.say("/drop")
	p.until(`document.querySelector(".card.error[data-kind=broken]")`)
	if got := p.lastAnswer(); got != "Half an answ" {
		t.Errorf("of a broken answer %q is kept", got)
	}
	p.say("/midway")
	p.until(`document.querySelectorAll(".card.error")[1]?.innerText.includes("The engine stumbled.")`)
	server.Fail(500, 1, 0)
	p.say("Hello")
	p.until(`document.querySelectorAll(".card.error")[2]?.dataset.kind === "server"`)
	p.click(".message.last .card.error .button.primary")
	p.until(`document.querySelector(".message.last .content")?.innerText === "You said: Hello"`)
	p.idle()
	if n := p.count(".message.last .count"); n != 0 {
		t.Error("an answer that never came is kept as a version")
	}
	// Too long: older messages can be left out, and are sent again on demand.
	p.say("/context")
	p.until(`document.querySelector(".card.error[data-kind=context]")?.innerText.includes("512")`)
	p.click(".message.last .card.error .button.primary")
	p.idle()
	for range 3 {
		if p.count(".message.last .card.error") == 0 {
			break
		}
		p.click(".message.last .card.error .button.primary")
		p.idle()
	}
	p.until(`document.querySelector(".message.last .content")?.innerText === "Now it fits." && document.querySelector(".left-out")`)
	p.click(".left-out .link")
	p.until(`!document.querySelector(".left-out")`)
	p.say("/empty")
	p.until(`document.querySelector(".message.last .note").innerText === "The model answered nothing."`)
	p.say("/length")
	p.until(`document.querySelector(".message.last .note").innerText.includes("longest length")`)
	// The server is gone, and comes back.
	server.SetDown(true)
	p.say("Anybody there?")
	p.until(`document.querySelector(".message.last .card.error[data-kind=network]") && document.getElementById("notices").innerText.includes("does not answer")`)
	server.SetDown(false)
	p.until(`document.getElementById("notices").innerText === ""`)
	p.click(".message.last .card.error .button.primary")
	p.until(`document.querySelector(".message.last .content")?.innerText === "You said: Anybody there?"`)
}
