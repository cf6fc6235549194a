package browser

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"trit/e2e/browser/mock"
)

// browser is the one browser that all tests share; nil where there is none.
var browser interface {
	// open makes a tab with storage of its own. What must not happen in it is told to report.
	open(origin string, report func(problem string)) (driver, error)
	close()
}

// driver is a tab of a browser.
type driver interface {
	evaluate(script string) (json.RawMessage, error) // promises included
	run(script string) error                         // for its effect
	navigate(url string) error
	reload() error
	click(selector string) error
	insert(text string) error // into what has the focus, as a paste or an input method does
	press(key string, modifiers []modifier) error
	upload(selector string, paths []string) error
	emulate(dark bool, width, height int, mobile bool) error
	speak(language string) error // for what is loaded from now on
	screenshot() ([]byte, error)
	alive() bool
	close()
}

// modifier is a key that is held while others are pressed.
type modifier string

const (
	control modifier = "Control"
	shift   modifier = "Shift"
)

// noBrowser says why tests are skipped.
const noBrowser = "there is no chromium, chromium-browser or google-chrome in PATH (TRIT_BROWSER names another)"

func TestMain(m *testing.M) {
	os.Exit(func() int {
		path := findBrowser()
		if path == "" {
			if os.Getenv("TRIT_NEED_BROWSER") != "" {
				fmt.Fprintln(os.Stderr, "TRIT_NEED_BROWSER is set, but", noBrowser)
				return 1
			}
			return m.Run()
		}
		start := startChromium
		if isFirefox() {
			start = startFirefox
		}
		if err := start(path); err != nil {
			fmt.Fprintln(os.Stderr, "the browser does not start:", err)
			return 1
		}
		defer browser.close()
		return m.Run()
	}())
}

// isFirefox is whether TRIT_BROWSER names Firefox.
func isFirefox() bool { return strings.Contains(filepath.Base(os.Getenv("TRIT_BROWSER")), "firefox") }

// findBrowser returns the path of a browser, "" if there is none.
func findBrowser() string {
	names := []string{"chromium", "chromium-browser", "google-chrome"}
	if name := os.Getenv("TRIT_BROWSER"); name != "" {
		names = []string{name}
	}
	for _, name := range names {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// page is a tab with storage of its own, and a record of everything that must not happen in it.
type page struct {
	t      testing.TB
	driver driver
	origin string

	mu       sync.Mutex
	problems []string
	allowed  []string
}

// openMock starts a mock server and opens its page, beside other tests. Firefox has one tab in front.
func openMock(t *testing.T) (*page, *mock.Server) {
	t.Helper()
	if !isFirefox() {
		t.Parallel()
	}
	return openMockAlone(t)
}

// openMockAlone is openMock for tests that measure times.
func openMockAlone(t *testing.T) (*page, *mock.Server) {
	t.Helper()
	if browser == nil {
		t.Skip(noBrowser)
	}
	server := mock.New()
	http := httptest.NewServer(server)
	t.Cleanup(http.Close)
	return newPage(t, http.URL), server
}

// newPage opens a tab on an origin and waits until it has asked all that it asks by itself.
func newPage(t testing.TB, origin string) *page {
	t.Helper()
	p := newPageWithoutModels(t, origin)
	p.until(`performance.getEntriesByType("resource").some(({name, responseEnd}) => name.includes("/props") && responseEnd > 0)`)
	return p
}

// newPageWithoutModels opens a tab on an origin.
func newPageWithoutModels(t testing.TB, origin string) *page {
	t.Helper()
	p := &page{t: t, origin: origin}
	d, err := browser.open(origin, p.report)
	if err != nil {
		t.Fatal(err)
	}
	p.driver = d
	t.Cleanup(func() {
		p.checkClean()
		d.close()
	})
	p.must(d.emulate(false, 1280, 820, false))
	p.navigate(origin + "/")
	p.until(`document.documentElement.dataset.ready === "true"`)
	return p
}

// report keeps a problem. Requests to others than the origin are some, too.
func (p *page) report(problem string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if url, ok := strings.CutPrefix(problem, "request to "); ok {
		for _, own := range []string{p.origin, "blob:" + p.origin, "blob:null/", "data:", "about:blank"} {
			if strings.HasPrefix(url, own) {
				return
			}
		}
	}
	p.problems = append(p.problems, problem)
}

// allow says that problems with a text are part of the test.
func (p *page) allow(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed = append(p.allowed, text)
}

func (p *page) checkClean() {
	p.t.Helper()
	if p.driver.alive() {
		for _, violation := range eval[[]string](p, `window.violations`) {
			p.t.Errorf("the policy blocked: %s", violation)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
next:
	for _, problem := range p.problems {
		for _, text := range p.allowed {
			if strings.Contains(problem, text) {
				continue next
			}
		}
		p.t.Errorf("the page had a problem: %s", problem)
	}
}

// eval evaluates JavaScript, promises included.
func eval[T any](p *page, script string) T {
	p.t.Helper()
	var value T
	data, err := p.driver.evaluate(script)
	if err == nil {
		err = json.Unmarshal(data, &value)
	}
	if err != nil {
		p.t.Fatalf("evaluating %s: %v", script, err)
	}
	return value
}

// must fails the test if something went wrong in the browser.
func (p *page) must(err error) {
	p.t.Helper()
	if err != nil {
		p.t.Fatalf("browser: %v", err)
	}
}

// script runs JavaScript for its effect.
func (p *page) script(script string) {
	p.t.Helper()
	p.must(p.driver.run(script))
}

// text returns the visible text of the first element.
func (p *page) text(selector string) string {
	p.t.Helper()
	return eval[string](p, fmt.Sprintf(`document.querySelector(%q)?.innerText ?? ""`, selector))
}

// until waits for JavaScript to be true.
func (p *page) until(condition string) {
	p.t.Helper()
	deadline := time.Now().Add(15 * time.Second)
	for {
		if eval[bool](p, "(() => { try { return Boolean("+condition+"); } catch { return false; } })()") {
			return
		}
		if time.Now().After(deadline) {
			p.shoot("failed-" + strings.ReplaceAll(p.t.Name(), "/", "-"))
			p.t.Fatalf("waited in vain for %s\nthe page says: %s", condition, p.text("body"))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// idle waits until no answer is being written and everything is drawn and stored.
func (p *page) idle() {
	p.t.Helper()
	p.until(`!document.querySelector("[aria-busy=true]") && document.getElementById("send").getAttribute("aria-label") === "Send"`)
}

func (p *page) navigate(url string) {
	p.t.Helper()
	p.must(p.driver.navigate(url))
}

// reload loads the page again and waits until it is ready.
func (p *page) reload() {
	p.t.Helper()
	time.Sleep(200 * time.Millisecond) // nobody reloads sooner than that; storing takes a few milliseconds
	p.must(p.driver.reload())
	p.until(`document.documentElement.dataset.ready === "true"`)
}

// upload chooses files in a file field.
func (p *page) upload(selector string, paths ...string) {
	p.t.Helper()
	p.must(p.driver.upload(selector, paths))
}

// still is whether an element has stayed where it is for two frames, or has moved for a
// second, as in a text that grows: a mouse clicks on a place.
const still = `((e) => {
	if (!e) return false;
	const at = JSON.stringify(e.getBoundingClientRect()), now = performance.now(), w = (window.stillness ??= { began: now });
	const frame = () => { w.frames++; requestAnimationFrame(frame); };
	if (w.frames === undefined) { w.frames = 0; requestAnimationFrame(frame); }
	if (w.at !== at) { w.at = at; w.since = w.frames; w.began ??= now; }
	if (w.frames < w.since + 2 && now < w.began + 1000) return false;
	w.at = w.began = undefined;
	return true;
})(document.querySelector(%q))`

func (p *page) click(selector string) {
	p.t.Helper()
	p.until(fmt.Sprintf(still, selector))
	p.must(p.driver.click(selector))
}

// write puts text into whatever has the focus, as a paste or an input method does.
func (p *page) write(text string) {
	p.t.Helper()
	p.must(p.driver.insert(text))
}

// press presses and releases a key: a letter or sign, or a name like Enter.
func (p *page) press(key string, modifiers ...modifier) {
	p.t.Helper()
	p.must(p.driver.press(key, modifiers))
}

// say sends a message and waits for the end of the answer.
func (p *page) say(text string) {
	p.t.Helper()
	p.begin(text)
	p.idle()
}

// begin sends a message.
func (p *page) begin(text string) {
	p.t.Helper()
	before := p.count(".message.user")
	p.script(`document.getElementById("input").value = ""; document.getElementById("input").focus()`)
	p.write(text)
	p.press("Enter")
	p.until(fmt.Sprintf(`document.querySelectorAll(".message.user").length > %d`, before))
}

func (p *page) count(selector string) int {
	p.t.Helper()
	return eval[int](p, fmt.Sprintf(`document.querySelectorAll(%q).length`, selector))
}

// lastAnswer returns the text of the last answer.
func (p *page) lastAnswer() string {
	p.t.Helper()
	return eval[string](p, `[...document.querySelectorAll(".message.assistant .content")].at(-1)?.innerText ?? ""`)
}

// emulate sets what the system prefers, and the size of the window.
func (p *page) emulate(dark bool, width, height int, mobile bool) {
	p.t.Helper()
	p.must(p.driver.emulate(dark, width, height, mobile))
	time.Sleep(300 * time.Millisecond) // the sidebar slides
}

// speak sets the language of the browser for what is loaded from now on.
func (p *page) speak(language string) {
	p.t.Helper()
	p.must(p.driver.speak(language))
}

// shoot saves a screenshot if TRIT_SCREENSHOTS names a folder.
func (p *page) shoot(name string) {
	p.t.Helper()
	folder := os.Getenv("TRIT_SCREENSHOTS")
	if folder == "" {
		return
	}
	time.Sleep(250 * time.Millisecond) // for the transitions
	png, err := p.driver.screenshot()
	if err != nil {
		p.t.Fatal(err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, name+".png"), png, 0o644); err != nil {
		p.t.Fatal(err)
	}
}

// lastBody returns the last chat request.
func lastBody(t *testing.T, server *mock.Server) map[string]any {
	t.Helper()
	bodies := server.Bodies()
	if len(bodies) == 0 {
		t.Fatal("no request has come")
	}
	return bodies[len(bodies)-1]
}

// contents lists role:content of a request.
func contents(t *testing.T, body map[string]any) []string {
	t.Helper()
	data, err := json.Marshal(body["messages"])
	if err != nil {
		t.Fatal(err)
	}
	var messages []struct{ Role, Content string }
	if err := json.Unmarshal(data, &messages); err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range messages {
		out = append(out, m.Role+": "+m.Content)
	}
	return out
}
