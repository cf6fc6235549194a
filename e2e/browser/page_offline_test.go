package browser

import (
	"strings"
	"testing"
)

// kept waits until the service worker of the page has kept it.
func (p *page) kept() {
	p.t.Helper()
	p.until(`navigator.serviceWorker.controller?.state === "activated" && (window.worker ??= navigator.serviceWorker.ready.then((r) => { window.active = r.active; })) && window.active`)
}

// TestOffline: without its server the page opens with its chats and says what is wrong; of the
// APIs nothing is kept; another version of the page takes the place of the old one.
func TestOffline(t *testing.T) {
	p, server := openMock(t)
	p.allow("ERR_") // what the browser says of connections that are dropped
	p.allow("Failed to fetch")
	p.say("/echo remember me")
	p.kept()
	names := eval[[]string](p, `caches.keys().then((names) => Promise.all(names.map((name) => caches.open(name).then((c) => c.keys())))).then((all) => all.flat().map(({ url }) => new URL(url).pathname))`)
	version := ""
	for _, name := range names {
		if name != "/" && name != "/ui" && !strings.HasPrefix(name, "/ui/") {
			t.Errorf("%s is kept", name)
		}
		if strings.HasSuffix(name, "/js/main.mjs") {
			version = strings.Split(name, "/")[2]
		}
	}
	if len(names) < 30 || version == "" {
		t.Errorf("only %q is kept", names)
	}
	server.SetGone(true)
	p.reload()
	p.until(`document.querySelector(".content")?.innerText === "remember me" && document.getElementById("notices").innerText.includes("does not answer")`)
	p.shoot("offline")
	p.say("Anybody there?")
	p.until(`document.querySelector(".message.last .card.error[data-kind=network]")`)
	for _, path := range []string{"/ui", "/ui/"} {
		p.navigate(p.origin + path)
		p.until(`document.documentElement.dataset.ready === "true" && document.querySelectorAll(".chat").length === 1`)
	}
	server.SetGone(false)
	p.until(`document.getElementById("notices").innerText === ""`)

	const next = "0123456789abcdef"
	server.SetVersion(next)
	p.navigate(p.origin + "/")
	p.until(`document.documentElement.dataset.ready === "true" && document.querySelector("script[type=module]").src.includes("` + next + `")`)
	p.until(`(caches.keys().then((names) => { window.cached = names.join(); }), window.cached?.includes("` + next + `") && !window.cached.includes("` + version + `"))`)
	server.SetGone(true)
	p.reload()
	p.until(`document.querySelector("script[type=module]").src.includes("` + next + `") && document.querySelectorAll(".chat").length === 1`)
}
