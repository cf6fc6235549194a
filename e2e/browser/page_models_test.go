package browser

import (
	"slices"
	"strings"
	"testing"

	"trit/e2e/browser/mock"
)

// row returns the selector of a model's row.
func row(id string) string { return `#models-list [data-id="` + id + `"]` }

func TestModels(t *testing.T) {
	p, server := openMock(t)
	p.click("#open-models")
	p.until(`document.querySelectorAll("#models-list .row").length === 2 && document.querySelectorAll("#models-catalogue .row").length === 2`)
	if got := p.text(row("demo")); !strings.Contains(got, "5.3 million parameters · 2.3 MB on disk · 512 tokens of context · takes 3.5 MB of memory") {
		t.Errorf("the row says %q", got)
	}
	if got := p.text("#models-memory-text"); got != "Loaded models take 3.5 MB of 8 GB of memory." {
		t.Errorf("the memory is %q", got)
	}
	if eval[bool](p, `document.querySelector('[aria-label="Delete demo"]').checkVisibility()`) {
		t.Error("the model of the program can be deleted")
	}
	// Loading, with its progress, and unloading.
	const large = "bitnet-b1.58-2b-4t"
	p.click(`[aria-label="Load ` + large + `"]`)
	p.until(`document.querySelector('` + row(large) + ` .chip').textContent === "loading, 43 %"`)
	p.shoot("models-loading")
	server.SetState(large, "loaded", 1)
	p.click(`[aria-label="Unload ` + large + `"]`)
	p.until(`document.querySelector('[aria-label="Load ` + large + `"]').checkVisibility()`)
	// What is known about it; markup in it stays text.
	p.click(`[aria-label="Details ` + large + `"]`)
	p.until(`document.querySelector('` + row(large) + ` .details').innerText.includes("<script>window.pwned=2</script>")`)
	// A question before deleting, which may be answered with no.
	p.click(`[aria-label="Delete ` + large + `"]`)
	p.until(`document.activeElement.textContent === "Keep"`)
	p.press("Enter")
	p.click(`[aria-label="Delete ` + large + `"]`)
	p.click(row(large) + " .button.danger")
	p.until(`document.querySelectorAll("#models-list .row").length === 1`)
	want := []string{"load " + large, "unload " + large, "delete " + large}
	if got := server.Asked(); !slices.Equal(got, want) {
		t.Errorf("the server was asked to %q, want %q", got, want)
	}
}

func TestDownload(t *testing.T) {
	p, server := openMock(t)
	server.SetModels()
	p.reload()
	// A first visit without a model leads to one.
	p.click("#get-model")
	p.until(`document.querySelector("#models-list .none")`)
	p.click(`[aria-label="Download bitnet-2b-4t"]`)
	p.until(`document.querySelector('` + row("bitnet-2b-4t") + `') && !document.querySelector("#models-pulls .row")`)
	p.until(`!document.querySelector('[aria-label="Download bitnet-2b-4t"]')`)
	p.click(`.toast .link`) // use it
	p.until(`document.querySelector("#model").value === "bitnet-2b-4t" && !document.querySelector("dialog[open]")`)
	p.say("Hello")
	if got := lastBody(t, server)["model"]; got != "bitnet-2b-4t" {
		t.Errorf("the answer came from %v", got)
	}
	// Stopped, and what fails says why.
	p.click("#open-models")
	for _, name := range []string{"slow", "missing", "<img src=x onerror=window.pwned=1>"} {
		p.script(`document.getElementById("models-name").focus()`)
		p.write(name)
		p.press("Enter")
		p.until(`document.querySelector('#models-pulls [data-name="` + name + `"], ` + row(name) + `')`)
	}
	p.until(`document.querySelector('[data-name="slow"] .hint').textContent.startsWith("400 MB of 1 GB")`)
	p.shoot("models-pulling")
	p.click(`[aria-label="Stop downloading slow"]`)
	p.until(`document.querySelector('[data-name="slow"] .hint').textContent.startsWith("Stopped")`)
	p.until(`document.querySelector('[data-name="missing"] .problem').textContent === "there is no repository <b>missing</b>"`)
	p.until(`document.querySelectorAll("#models-list .row").length === 2`)
	if eval[bool](p, `window.pwned !== undefined || document.querySelector("#models img, #models b") !== null`) {
		t.Error("a name became markup")
	}
	if got := server.Asked(); !slices.Contains(got, "pull slow") {
		t.Errorf("the server was asked to %q", got)
	}
}

func TestDownloadWantsAdmin(t *testing.T) {
	p, server := openMock(t)
	p.allow("403")
	server.RequireAdmin("boss")
	p.click("#open-models")
	p.click(`[aria-label="Download bitnet-large"]`)
	p.until(`document.querySelector("#key[open]")`)
	p.write("boss")
	p.press("Enter")
	p.until(`document.querySelector('` + row("bitnet-large") + `')`)
}

// TestLoading: an answer that waits for its model says how far that is.
func TestLoading(t *testing.T) {
	p, server := openMock(t)
	server.SetModels(&mock.Model{ID: "demo", State: "loading", Progress: 0.43})
	p.begin("/wait")
	p.until(`document.querySelector(".elapsed").textContent === "loading the model, 43 %"`)
	p.idle()
}

// TestReading: an answer whose prompt takes long says how much of it has been read.
func TestReading(t *testing.T) {
	p, _ := openMock(t)
	p.begin("/wait")
	p.until(`/^reading, (50|75) % in [34]/.test(document.querySelector(".elapsed")?.textContent)`)
	p.idle()
}

// TestNamesOfModels: a name is text wherever it stands: the choice, the field, the list, an answer and its figures.
func TestNamesOfModels(t *testing.T) {
	p, server := openMock(t)
	const name = `<img src=x onerror=window.pwned=1>"'`
	server.SetModels(&mock.Model{ID: name, Size: 1000, Context: 512, Parameters: 1000, State: "loaded", Source: "store"})
	p.reload()
	p.until(`document.getElementById("model").value.startsWith("<img") && document.getElementById("input").placeholder.startsWith("Write to <img")`)
	p.say("Hello")
	p.click("#open-models")
	p.until(`document.querySelector("#models-list strong").textContent.startsWith("<img")`)
	p.click("#models-list .row-buttons .button:nth-child(4)") // details
	p.until(`document.querySelector(".details").innerText.includes("<script>window.pwned=2</script>")`)
	p.press("Escape")
	html := p.exported("#export-page", ".html")
	if strings.Contains(html, "<img") {
		t.Error("the page to share holds markup")
	}
	if eval[bool](p, `window.pwned !== undefined || document.querySelector("main img, dialog img") !== null`) {
		t.Error("the name of a model became markup")
	}
}
