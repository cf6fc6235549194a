package browser

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"
)

var listening = regexp.MustCompile(`listening on (http://[^\s"]+)`)

// startServe starts "trit serve" on the built-in model and returns its address.
// TRIT_BIN names the program; without it the test is skipped.
func startServe(t *testing.T, flags ...string) string {
	t.Helper()
	if browser == nil {
		t.Skip(noBrowser)
	}
	program := os.Getenv("TRIT_BIN")
	if program == "" {
		t.Skip("TRIT_BIN does not name a trit program")
	}
	cmd := exec.Command(program, append([]string{"serve", "--port", "0"}, flags...)...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("trit serve ended with %v", err)
		}
	})
	address := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if match := listening.FindStringSubmatch(lines.Text()); match != nil {
				address <- match[1]
			}
		}
	}()
	select {
	case origin := <-address:
		return strings.TrimSuffix(origin, "/")
	case <-time.After(60 * time.Second):
		t.Fatal("trit serve does not say where it listens")
		return ""
	}
}

// TestServe drives the page of the real server with the built-in model.
func TestServe(t *testing.T) {
	origin := startServe(t)
	response, err := http.Get(origin + "/")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if policy := response.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "default-src 'none'") {
		t.Errorf("the policy is %q", policy)
	}
	p := newPage(t, origin)
	p.allow("400") // the answer to a conversation that is too long
	p.until(`!document.getElementById("model").disabled`)
	model := eval[string](p, `document.getElementById("model").value`)
	t.Logf("the model is %s", model)
	p.shoot("real-1-empty")

	setTemperature := func(value string) {
		t.Helper()
		p.click("#open-settings")
		p.script(`{ const e = document.getElementById("set-temperature"); e.value = "` + value + `"; e.dispatchEvent(new Event("input")); }`)
		p.press("Escape")
	}
	setTemperature("0")
	p.say("What is the capital of France?")
	if got := p.lastAnswer(); got != "The capital of France is Paris." {
		t.Errorf("the answer is %q", got)
	}
	if got := p.text(".stats"); !strings.Contains(got, "tokens/s") {
		t.Errorf("the statistics say %q", got)
	}
	if got := p.text("#meter-text"); !strings.HasSuffix(got, "of 512 tokens") {
		t.Errorf("the meter says %q", got)
	}
	p.say("What does the owl say?")
	t.Logf("in the second turn: %s", p.lastAnswer())
	p.shoot("real-2-chat")
	p.click(`.message.last [aria-label="Answer again"]`)
	p.idle()
	p.until(`document.querySelector(".message.last .count").innerText === "2/2"`)
	p.press("ArrowUp")
	p.until(`document.activeElement.closest(".editor")`)
	p.script(`document.activeElement.select()`)
	p.write("What is 7 plus 8?")
	p.press("Enter")
	p.until(`document.querySelectorAll(".bubble")[1]?.innerText === "What is 7 plus 8?"`)
	p.idle()
	t.Logf("after the edit: %s", p.lastAnswer())
	before := p.text("#messages")
	p.reload()
	p.until(`document.querySelectorAll(".message").length === 4`)
	if after := p.text("#messages"); after != before {
		t.Errorf("after a reload the page says %q, before %q", after, before)
	}
	// A story, and stopping one. The model may be done before a key can be pressed; both are right.
	p.click("#new-chat")
	p.begin("Tell me a story about a fox.")
	p.press("Escape")
	p.idle()
	t.Logf("the story: %s", p.lastAnswer())
	p.say("Tell me a story about a fox.")
	p.shoot("real-3-story")
	if len(p.lastAnswer()) < 40 {
		t.Errorf("the story is %q", p.lastAnswer())
	}
	// Until the context is full.
	for range 20 {
		p.say("Tell me a long story about a brave robot who wanted to see the sea with a friend.")
		if p.count(".card.error") > 0 {
			break
		}
	}
	p.until(`document.querySelector(".card.error[data-kind=context]")`)
	p.shoot("real-4-full")
	p.click(".card.error .button.primary")
	p.idle()
	p.until(`document.querySelector(".left-out")`)
	// What another origin's page would be told is the server's business; ours gets what it asks for.
	var models struct{ Data []struct{ ID string } }
	if err := json.Unmarshal([]byte(eval[string](p, `fetch("/v1/models").then((r) => r.text())`)), &models); err != nil || len(models.Data) == 0 {
		t.Errorf("the models are %v (%v)", models, err)
	}
}

// TestServeModels drives the list of models, a file and the probabilities of tokens on the real server.
func TestServeModels(t *testing.T) {
	p := newPage(t, startServe(t))
	p.click("#open-models")
	p.until(`document.querySelector("#models-list .chip").textContent === "loaded" && document.querySelectorAll("#models-catalogue .row").length > 10`)
	p.click(`[aria-label="Details demo"]`)
	p.until(`/Computed with\s+\w+, \d+ thread/.test(document.querySelector(".details").innerText)`)
	p.shoot("real-5-models")
	p.press("Escape")
	p.give(`DragEvent("drop"`, "dataTransfer", `"a.txt"`, `"The fox is red."`)
	p.until(`/^\d+ tokens$/.test(document.querySelector(".file-chip .file-size").textContent)`)
	p.click("#open-settings")
	p.click("#set-probabilities")
	p.script(`{ const e = document.getElementById("set-max_tokens"); e.value = "4"; e.dispatchEvent(new Event("input")); }`)
	p.press("Escape")
	p.say("What is the capital of Japan?")
	p.click(".message.last .stats")
	p.until(`document.querySelectorAll(".token").length === 4 && [...document.querySelectorAll(".token")].map((e) => e.textContent).join("").trim() === document.querySelector(".message.last .content").innerText.trim()`)
	before := p.lastAnswer()
	p.click(`.message.last [aria-label="Continue the answer"]`)
	p.idle()
	if got := p.lastAnswer(); !strings.HasPrefix(got, before) || len(got) <= len(before) {
		t.Errorf("%q was continued to %q", before, got)
	}
	p.click(".message.last .stats")
	p.until(`document.querySelectorAll(".token").length > 4 && [...document.querySelectorAll(".token")].map((e) => e.textContent).join("").trim() === document.querySelector(".message.last .content").innerText.trim()`)
	p.shoot("real-6-figures")
}

// TestServeKey lets the real server ask for a key.
func TestServeKey(t *testing.T) {
	origin := startServe(t, "--api-key", "secret")
	p := newPageWithoutModels(t, origin)
	p.allow("401")
	p.until(`document.querySelector("#key[open]")`)
	p.write("secret")
	p.press("Enter")
	p.until(`document.getElementById("model").value === "demo" && !document.querySelector("dialog[open]")`)
	p.say("What is the capital of Japan?")
	t.Logf("the answer: %s", p.lastAnswer())
	if p.lastAnswer() == "" {
		t.Error("there is no answer")
	}
}
