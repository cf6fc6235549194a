package browser

import (
	"context"
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

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"trit/e2e/browser/mock"
)

// browserContext is the one browser that all tests share; nil where there is none.
var browserContext context.Context

func TestMain(m *testing.M) {
	os.Exit(func() int {
		path := findBrowser()
		if path == "" {
			if os.Getenv("TRIT_NEED_BROWSER") != "" {
				fmt.Fprintln(os.Stderr, "TRIT_NEED_BROWSER is set, but there is no chromium, chromium-browser or google-chrome in PATH")
				return 1
			}
			return m.Run()
		}
		options := append(chromedp.DefaultExecAllocatorOptions[:],
			chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("lang", "en-US"))
		allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
		defer cancel()
		ctx, cancel := chromedp.NewContext(allocator)
		defer cancel()
		if err := chromedp.Do(ctx); err != nil {
			fmt.Fprintln(os.Stderr, "the browser does not start:", err)
			return 1
		}
		browserContext = ctx
		return m.Run()
	}())
}

func findBrowser() string {
	if path := os.Getenv("TRIT_BROWSER"); path != "" {
		return path
	}
	for _, name := range []string{"chromium", "chromium-browser", "google-chrome"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// page is a tab with storage of its own, and a record of everything that must not happen in it.
type page struct {
	t      testing.TB
	ctx    context.Context
	origin string

	mu       sync.Mutex
	problems []string
	allowed  []string
}

// watcher runs before the page's own scripts and counts what its policy blocked.
const watcher = `window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => window.violations.push(e.violatedDirective + " " + e.blockedURI + " " + (e.sample || "")));
window.alert = window.confirm = window.prompt = () => { window.pwned = "dialog"; };`

// openMock starts a mock server and opens its page.
func openMock(t *testing.T) (*page, *mock.Server) {
	t.Helper()
	if browserContext == nil {
		t.Skip("there is no chromium, chromium-browser or google-chrome in PATH (TRIT_BROWSER names another)")
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
	ctx, cancel := chromedp.NewContext(browserContext, chromedp.WithNewBrowserContext())
	ctx, cancelTime := context.WithTimeout(ctx, 3*time.Minute)
	p := &page{t: t, ctx: ctx, origin: origin}
	t.Cleanup(func() {
		p.checkClean()
		cancelTime()
		cancel()
	})
	if err := chromedp.Listen(ctx, p.watch); err != nil {
		t.Fatal(err)
	}
	call(p, network.Enable, network.EnableParams{})
	call(p, log.Enable, cdp.Empty{})
	call(p, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: watcher})
	p.do(chromedp.EmulateViewport(1280, 820), chromedp.Navigate(origin+"/"))
	p.until(`document.documentElement.dataset.ready === "true"`)
	return p
}

func (p *page) watch(event any) {
	problem := ""
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if url := e.Request.URL; !strings.HasPrefix(url, p.origin) && !strings.HasPrefix(url, "blob:"+p.origin) && !strings.HasPrefix(url, "data:") && url != "about:blank" {
			problem = "request to " + url
		}
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			problem = fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL)
		}
	case *runtime.EventExceptionThrown:
		problem = "exception: " + e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			problem += " " + e.ExceptionDetails.Exception.Description
		}
	case *cdppage.EventJavascriptDialogOpening:
		problem = "dialog: " + e.Message
	}
	if problem != "" {
		p.mu.Lock()
		p.problems = append(p.problems, problem)
		p.mu.Unlock()
	}
}

// allow says that problems with a text are part of the test.
func (p *page) allow(text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.allowed = append(p.allowed, text)
}

func (p *page) checkClean() {
	p.t.Helper()
	if p.ctx.Err() == nil {
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

// call sends a command of the browser's protocol.
func call[P, R any](p *page, command cdp.Command[P, R], params P) R {
	p.t.Helper()
	result, err := chromedp.Call(p.ctx, command, params)
	if err != nil {
		p.t.Fatalf("browser: %s: %v", command.Method, err)
	}
	return result
}

// eval evaluates JavaScript, promises included.
func eval[T any](p *page, script string) T {
	p.t.Helper()
	value, err := chromedp.Run(p.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		p.t.Fatalf("evaluating %s: %v", script, err)
	}
	return value
}

func (p *page) do(actions ...chromedp.Action[chromedp.Void]) {
	p.t.Helper()
	if err := chromedp.Do(p.ctx, actions...); err != nil {
		p.t.Fatalf("browser: %v", err)
	}
}

// script runs JavaScript for its effect.
func (p *page) script(script string) {
	p.t.Helper()
	p.do(chromedp.Evaluate[chromedp.Void](script, chromedp.EvalAwaitPromise))
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
	p.do(chromedp.Navigate(url))
}

// reload loads the page again and waits until it is ready.
func (p *page) reload() {
	p.t.Helper()
	time.Sleep(200 * time.Millisecond) // nobody reloads sooner than that; storing takes a few milliseconds
	p.do(chromedp.Reload())
	p.until(`document.documentElement.dataset.ready === "true"`)
}

// upload chooses a file in a file field.
func (p *page) upload(selector, path string) {
	p.t.Helper()
	p.do(chromedp.SetUploadFiles(chromedp.CSS(selector), []string{path}))
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
	p.do(chromedp.Click(chromedp.CSS(selector)))
}

// write puts text into whatever has the focus, as a paste or an input method does.
func (p *page) write(text string) {
	p.t.Helper()
	call(p, input.InsertText, input.InsertTextParams{Text: text})
}

// press presses and releases a key: a letter or sign, or a name like Enter.
func (p *page) press(key string, modifiers ...kb.Modifier) {
	p.t.Helper()
	all := kb.ModifierNone
	for _, m := range modifiers {
		all |= m
	}
	event := input.DispatchKeyEventParams{Type: "rawKeyDown", Key: key, Code: key, Modifiers: int64(all)}
	switch key {
	case "Enter":
		event.Text, event.WindowsVirtualKeyCode = "\r", 13
	case "Escape":
		event.WindowsVirtualKeyCode = 27
	case "Tab":
		event.WindowsVirtualKeyCode = 9
	case "ArrowUp":
		event.WindowsVirtualKeyCode = 38
	case "ArrowRight":
		event.WindowsVirtualKeyCode = 39
	case "ArrowDown":
		event.WindowsVirtualKeyCode = 40
	case "Delete":
		event.WindowsVirtualKeyCode = 46
	case "F2":
		event.WindowsVirtualKeyCode = 113
	default:
		event.WindowsVirtualKeyCode = int64(strings.ToUpper(key)[0])
		event.Code = "Key" + strings.ToUpper(key)
		if all&(kb.ModifierCtrl|kb.ModifierMeta|kb.ModifierAlt) == 0 {
			event.Text = key
		}
	}
	if event.Text != "" {
		event.Type = "keyDown"
	}
	call(p, input.DispatchKeyEvent, event)
	event.Type, event.Text = "keyUp", ""
	call(p, input.DispatchKeyEvent, event)
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
func (p *page) emulate(dark bool, width, height int64, mobile bool) {
	p.t.Helper()
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	call(p, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	call(p, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 2, Mobile: mobile})
	call(p, emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: mobile})
	time.Sleep(300 * time.Millisecond) // the sidebar slides
}

// speak sets the language of the browser for what is loaded from now on.
func (p *page) speak(language string) {
	p.t.Helper()
	agent := eval[string](p, `navigator.userAgent`)
	call(p, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: language})
}

// shoot saves a screenshot if TRIT_SCREENSHOTS names a folder.
func (p *page) shoot(name string) {
	p.t.Helper()
	folder := os.Getenv("TRIT_SCREENSHOTS")
	if folder == "" {
		return
	}
	time.Sleep(250 * time.Millisecond) // for the transitions
	png, err := chromedp.Run(p.ctx, chromedp.CaptureScreenshot())
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
