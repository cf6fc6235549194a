package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
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
)

// chromium is the browser by way of its DevTools protocol.
type chromium struct {
	ctx     context.Context
	cancels []func()
}

// chromiumTab is a tab of it.
type chromiumTab struct {
	ctx     context.Context
	cancels []func()
}

func startChromium(path string) error {
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(path), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.Flag("lang", "en-US"))
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, cancelContext := chromedp.NewContext(allocator)
	browser = &chromium{ctx, []func(){cancelContext, cancel}}
	return chromedp.Do(ctx)
}

func (c *chromium) close() {
	for _, cancel := range c.cancels {
		cancel()
	}
}

// watcher runs before the page's own scripts and counts what its policy blocked.
const watcher = `window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => window.violations.push(e.violatedDirective + " " + e.blockedURI + " " + (e.sample || "")));
window.alert = window.confirm = window.prompt = () => { window.pwned = "dialog"; };`

func (c *chromium) open(_ string, report func(problem string)) (driver, error) {
	ctx, cancel := chromedp.NewContext(c.ctx, chromedp.WithNewBrowserContext())
	ctx, cancelTime := context.WithTimeout(ctx, 3*time.Minute)
	tab := &chromiumTab{ctx, []func(){cancelTime, cancel}}
	err := chromedp.Listen(ctx, func(event any) { watch(event, report) })
	if err == nil {
		err = call(tab, network.Enable, network.EnableParams{})
	}
	if err == nil {
		err = call(tab, log.Enable, cdp.Empty{})
	}
	if err == nil {
		err = call(tab, cdppage.AddScriptToEvaluateOnNewDocument, cdppage.AddScriptToEvaluateOnNewDocumentParams{Source: watcher})
	}
	return tab, err
}

func watch(event any, report func(problem string)) {
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		report("request to " + e.Request.URL)
	case *log.EventEntryAdded:
		if e.Entry.Level == "error" || e.Entry.Level == "warning" {
			report(fmt.Sprintf("%s: %s %s", e.Entry.Level, e.Entry.Text, e.Entry.URL))
		}
	case *runtime.EventExceptionThrown:
		problem := "exception: " + e.ExceptionDetails.Text
		if e.ExceptionDetails.Exception != nil {
			problem += " " + e.ExceptionDetails.Exception.Description
		}
		report(problem)
	case *cdppage.EventJavascriptDialogOpening:
		report("dialog: " + e.Message)
	}
}

// call sends a command of the browser's protocol.
func call[P, R any](c *chromiumTab, command cdp.Command[P, R], params P) error {
	if _, err := chromedp.Call(c.ctx, command, params); err != nil {
		return fmt.Errorf("%s: %w", command.Method, err)
	}
	return nil
}

func (c *chromiumTab) evaluate(script string) (json.RawMessage, error) {
	return chromedp.Run(c.ctx, chromedp.Evaluate[json.RawMessage](script, chromedp.EvalAwaitPromise))
}

func (c *chromiumTab) run(script string) error {
	return chromedp.Do(c.ctx, chromedp.Evaluate[chromedp.Void](script, chromedp.EvalAwaitPromise))
}

func (c *chromiumTab) navigate(url string) error { return chromedp.Do(c.ctx, chromedp.Navigate(url)) }
func (c *chromiumTab) reload() error             { return chromedp.Do(c.ctx, chromedp.Reload()) }
func (c *chromiumTab) alive() bool               { return c.ctx.Err() == nil }

func (c *chromiumTab) close() {
	for _, cancel := range c.cancels {
		cancel()
	}
}

func (c *chromiumTab) click(selector string) error {
	return chromedp.Do(c.ctx, chromedp.Click(chromedp.CSS(selector)))
}

func (c *chromiumTab) upload(selector string, paths []string) error {
	return chromedp.Do(c.ctx, chromedp.SetUploadFiles(chromedp.CSS(selector), paths))
}

func (c *chromiumTab) insert(text string) error {
	return call(c, input.InsertText, input.InsertTextParams{Text: text})
}

// keyCodes are those of keys that have a name.
var keyCodes = map[string]int64{"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39,
	"ArrowDown": 40, "Delete": 46, "F2": 113}

func (c *chromiumTab) press(key string, modifiers []modifier) error {
	all := kb.ModifierNone
	if slices.Contains(modifiers, control) {
		all |= kb.ModifierCtrl
	}
	if slices.Contains(modifiers, shift) {
		all |= kb.ModifierShift
	}
	event := input.DispatchKeyEventParams{Type: "rawKeyDown", Key: key, Code: key, Modifiers: int64(all), WindowsVirtualKeyCode: keyCodes[key]}
	if key == "Enter" {
		event.Text = "\r"
	}
	if event.WindowsVirtualKeyCode == 0 {
		event.WindowsVirtualKeyCode = int64(strings.ToUpper(key)[0])
		event.Code = "Key" + strings.ToUpper(key)
		if all&kb.ModifierCtrl == 0 {
			event.Text = key
		}
	}
	if event.Text != "" {
		event.Type = "keyDown"
	}
	if err := call(c, input.DispatchKeyEvent, event); err != nil {
		return err
	}
	event.Type, event.Text = "keyUp", ""
	return call(c, input.DispatchKeyEvent, event)
}

func (c *chromiumTab) emulate(dark bool, width, height int, mobile bool) error {
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	err := call(c, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	if err == nil {
		err = call(c, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: int64(width), Height: int64(height), DeviceScaleFactor: 2, Mobile: mobile})
	}
	if err == nil {
		err = call(c, emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: mobile})
	}
	return err
}

func (c *chromiumTab) speak(language string) error {
	var agent string
	data, err := c.evaluate(`navigator.userAgent`)
	if err == nil {
		err = json.Unmarshal(data, &agent)
	}
	if err != nil {
		return err
	}
	return call(c, emulation.SetUserAgentOverride, emulation.SetUserAgentOverrideParams{UserAgent: agent, AcceptLanguage: language})
}

func (c *chromiumTab) screenshot() ([]byte, error) {
	return chromedp.Run(c.ctx, chromedp.CaptureScreenshot())
}
