package browser

import (
	"encoding/json"
	"strings"
	"testing"
)

// TestStructured: a schema goes along with the request, and its answer is a tree and a table.
func TestStructured(t *testing.T) {
	p, server := openMock(t)
	p.click("#open-settings")
	p.script(`{ const e = document.getElementById("set-schema-example"); e.value = "A person"; e.dispatchEvent(new Event("change")); }`)
	p.until(`JSON.parse(document.getElementById("set-schema").value).required.join() === "name,age,city"`)
	p.shoot("schema")
	p.press("Escape")
	p.say("/json")
	format, err := json.Marshal(lastBody(t, server)["response_format"])
	if err != nil || !strings.Contains(string(format), `"required":["name","age","city"]`) || !strings.Contains(string(format), `"type":"json_schema"`) {
		t.Errorf("response_format is %s (%v)", format, err)
	}
	p.until(`document.querySelector(".json-body").innerText.includes('name: "<img src=x onerror=window.pwned=1>"')`)
	p.shoot("json-tree")
	p.click(`.json-head button:nth-child(2)`)
	p.until(`[...document.querySelectorAll(".json-body td")].map((e) => e.innerText).join("|") === "<img src=x onerror=window.pwned=1>|3|Bo|41"`)
	p.shoot("json-table")
	p.reload()
	p.until(`document.querySelector(".json-head [aria-pressed=true]").innerText === "Tree"`)
	p.click("#open-settings")
	p.script(`{ const e = document.getElementById("set-schema"); e.value = "{"; e.dispatchEvent(new Event("input")); }`)
	p.until(`document.getElementById("set-schema-problem").innerText.startsWith("This is not JSON")`)
	p.script(`{ const e = document.getElementById("set-schema"); e.value = "{}"; e.dispatchEvent(new Event("input")); }`)
	p.press("Escape")
	p.say("/echo no JSON at all")
	if format, _ := json.Marshal(lastBody(t, server)["response_format"]); string(format) != `{"type":"json_object"}` {
		t.Errorf("response_format is %s", format)
	}
	p.until(`document.querySelector(".message.last .json-text").innerText === "no JSON at all"`)
	if eval[bool](p, `window.pwned !== undefined`) {
		t.Error("a value became markup")
	}
}

// TestProbabilities: the tokens of an answer with what else could have come.
func TestProbabilities(t *testing.T) {
	p, server := openMock(t)
	p.click("#open-settings")
	p.click("#set-probabilities")
	p.press("Escape")
	p.say("/sure")
	if body := lastBody(t, server); body["logprobs"] != true || body["top_logprobs"] != 5.0 {
		t.Errorf("the request has logprobs %v, top_logprobs %v", body["logprobs"], body["top_logprobs"])
	}
	p.reload()
	p.click(".stats")
	p.until(`document.querySelector(".figures").innerText.includes("First token")`)
	if got := eval[string](p, `[...document.querySelectorAll(".token")].map((e) => e.className + e.textContent).join("|")`); got != "token p4 Par|token p0is↵\n" {
		t.Errorf("the tokens are %q", got)
	}
	p.click(".token")
	p.press("ArrowRight")
	p.until(`document.querySelector(".alternatives").innerText.replace(/\s+/g, " ") === "is↵ 10 % <b>is</b> 60 %"`)
	p.shoot("probabilities")
	p.click(".stats")
	p.until(`document.querySelector(".numbers").hidden`)
}

// TestMath: formulas are MathML, what is not known of them stays as it is written; footnotes lead to their text.
func TestMath(t *testing.T) {
	p, _ := openMock(t)
	p.say("/math")
	if got := p.count(".content math"); got != 6 {
		t.Errorf("there are %d formulas", got)
	}
	p.until(`document.querySelector(".formula mfrac").getBoundingClientRect().height > 20`)
	p.until(`document.querySelector(".content span.math").textContent === "$\\href{javascript:window.pwned=2}{x}$"`)
	p.click(".content sup button")
	p.until(`document.activeElement.dataset.note === "1" && document.activeElement.querySelector("em").textContent === "linear"`)
	p.emulate(true, 360, 740, true)
	p.script(`document.getElementById("thread").scrollTop = 0`)
	p.shoot("math-phone-dark")
	if wide := eval[int](p, `document.documentElement.scrollWidth`); wide > 360 {
		t.Errorf("the page is %d pixels wide on a phone of 360", wide)
	}
	p.emulate(false, 1280, 820, false)
	p.shoot("math-light")
	if eval[bool](p, `window.pwned !== undefined`) {
		t.Error("a formula became markup")
	}
}
