package browser

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// firefox is the browser by way of WebDriver BiDi.
type firefox struct {
	*bidi
	cmd     *exec.Cmd
	profile string
}

// firefoxTab is a tab of it.
type firefoxTab struct {
	browser *firefox
	user    string // whose storage it has
	context string
}

// preferences keep Firefox from asking anybody for anything.
const preferences = `user_pref("browser.shell.checkDefaultBrowser", false);
user_pref("datareporting.policy.dataSubmissionEnabled", false);
user_pref("toolkit.telemetry.reportingpolicy.firstRun", false);
user_pref("app.normandy.enabled", false);
user_pref("app.update.enabled", false);
user_pref("extensions.update.enabled", false);
user_pref("network.captive-portal-service.enabled", false);
user_pref("network.connectivity-service.enabled", false);
user_pref("services.settings.server", "data:,");
user_pref("browser.safebrowsing.malware.enabled", false);
user_pref("browser.safebrowsing.phishing.enabled", false);
user_pref("browser.startup.page", 0);
user_pref("intl.accept_languages", "en-US, en");
user_pref("layout.css.prefers-color-scheme.content-override", 1);
user_pref("remote.active-protocols", 1);
user_pref("dom.disable_beforeunload", true);
`

var bidiAddress = regexp.MustCompile(`WebDriver BiDi listening on (ws://\S+)`)

func startFirefox(path string) error {
	profile, err := os.MkdirTemp("", "firefox")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(profile, "user.js"), []byte(preferences), 0o600); err != nil {
		return err
	}
	f := &firefox{profile: profile, cmd: exec.Command(path, "--headless", "--no-remote", "--profile", profile, "--remote-debugging-port", "0", "about:blank")}
	f.cmd.Env = append(os.Environ(), "HOME="+profile, "MOZ_CRASHREPORTER_DISABLE=1", "LANG=en_US.UTF-8")
	stderr, err := f.cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := f.cmd.Start(); err != nil {
		return err
	}
	browser = f
	address := make(chan string, 1)
	go func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			if match := bidiAddress.FindStringSubmatch(lines.Text()); match != nil {
				address <- match[1]
			}
		}
		close(address)
	}()
	select {
	case url := <-address:
		if url == "" {
			return errors.New("Firefox does not say where it listens")
		}
		if f.bidi, err = dialBiDi(url + "/session"); err != nil {
			return err
		}
	case <-time.After(patience):
		f.close()
		return errors.New("Firefox does not say in time where it listens")
	}
	if err := f.command("session.new", map[string]any{"capabilities": map[string]any{}}, nil); err != nil {
		return err
	}
	return f.command("session.subscribe", map[string]any{"events": []string{"log.entryAdded", "network.beforeRequestSent"}}, nil)
}

func (f *firefox) close() {
	if f.bidi != nil {
		_ = f.command("browser.close", map[string]any{}, nil) // it is ended below if it does not
	}
	ended := make(chan struct{})
	go func() {
		_ = f.cmd.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		_ = f.cmd.Process.Kill()
		<-ended
	}
	_ = os.RemoveAll(f.profile)
}

func (f *firefox) open(_ string, report func(problem string)) (driver, error) {
	tab := &firefoxTab{browser: f}
	var made struct{ UserContext, Context string }
	if err := f.command("browser.createUserContext", map[string]any{}, &made); err != nil {
		return nil, err
	}
	tab.user = made.UserContext
	if err := f.command("browsingContext.create", map[string]any{"type": "tab", "userContext": tab.user}, &made); err != nil {
		return nil, err
	}
	tab.context = made.Context
	f.on(tab.context, func(method string, params json.RawMessage) { watchFirefox(method, params, report) })
	return tab, f.command("script.addPreloadScript", map[string]any{
		"functionDeclaration": "() => {" + watcher + "}", "contexts": []string{tab.context}}, nil)
}

func watchFirefox(method string, params json.RawMessage, report func(problem string)) {
	var event struct {
		Level   string
		Text    string
		Request struct{ URL string }
	}
	if err := json.Unmarshal(params, &event); err != nil {
		report(err.Error())
	}
	switch {
	case method == "network.beforeRequestSent":
		report("request to " + event.Request.URL)
	case event.Level == "error" || event.Level == "warn":
		report(event.Level + ": " + event.Text)
	}
}

// remoteValue is a value as the protocol has it.
type remoteValue struct {
	Type     string
	Value    json.RawMessage
	SharedID string
}

// plain returns the value as JSON has it.
func (v remoteValue) plain() (any, error) {
	switch v.Type {
	case "undefined", "null":
		return nil, nil
	case "array":
		var items []remoteValue
		if err := json.Unmarshal(v.Value, &items); err != nil {
			return nil, err
		}
		list := []any{}
		for _, item := range items {
			value, err := item.plain()
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	case "string", "boolean", "number":
		return v.Value, nil
	}
	return nil, fmt.Errorf("a value of type %s", v.Type)
}

func (t *firefoxTab) value(script string) (remoteValue, error) {
	var result struct {
		Type             string
		Result           remoteValue
		ExceptionDetails struct{ Text string }
	}
	err := t.browser.command("script.evaluate", map[string]any{"expression": script, "target": map[string]any{"context": t.context},
		"awaitPromise": true, "userActivation": true}, &result)
	if err == nil && result.Type != "success" {
		err = errors.New(result.ExceptionDetails.Text)
	}
	return result.Result, err
}

func (t *firefoxTab) evaluate(script string) (json.RawMessage, error) {
	value, err := t.value(script)
	if err != nil {
		return nil, err
	}
	plain, err := value.plain()
	if err != nil {
		return nil, err
	}
	return json.Marshal(plain)
}

func (t *firefoxTab) run(script string) error {
	_, err := t.value(script)
	return err
}

func (t *firefoxTab) act(method string, params map[string]any, result any) error {
	params["context"] = t.context
	return t.browser.command(method, params, result)
}

func (t *firefoxTab) navigate(url string) error {
	return t.act("browsingContext.navigate", map[string]any{"url": url, "wait": "complete"}, nil)
}

func (t *firefoxTab) reload() error {
	return t.act("browsingContext.reload", map[string]any{"wait": "complete"}, nil)
}

func (t *firefoxTab) alive() bool { return true }

func (t *firefoxTab) close() {
	t.browser.on(t.context, nil)
	_ = t.browser.command("browser.removeUserContext", map[string]any{"userContext": t.user}, nil) // and its tabs
}

func (t *firefoxTab) click(selector string) error {
	data, err := t.evaluate(fmt.Sprintf(`((e) => {
		e.scrollIntoView({ block: "nearest", inline: "nearest", behavior: "instant" });
		const r = e.getClientRects()[0];
		return [r.left + r.width / 2, r.top + r.height / 2].map(Math.floor);
	})(document.querySelector(%q))`, selector))
	var at []int
	if err == nil {
		err = json.Unmarshal(data, &at)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", selector, err)
	}
	return t.act("input.performActions", map[string]any{"actions": []any{map[string]any{"type": "pointer", "id": "mouse", "actions": []any{
		map[string]any{"type": "pointerMove", "x": at[0], "y": at[1]},
		map[string]any{"type": "pointerDown", "button": 0}, map[string]any{"type": "pointerUp", "button": 0}}}}}, nil)
}

func (t *firefoxTab) insert(text string) error {
	data, err := json.Marshal(text)
	if err != nil {
		return err
	}
	return t.run(`document.execCommand("insertText", false, ` + string(data) + `)`)
}

// keyValues are the characters by which the protocol knows keys that have a name.
var keyValues = map[string]string{"Tab": "\ue004", "Enter": "\ue007", "Escape": "\ue00c", "ArrowLeft": "\ue012", "ArrowUp": "\ue013",
	"ArrowRight": "\ue014", "ArrowDown": "\ue015", "Delete": "\ue017", "F2": "\ue032", string(shift): "\ue008", string(control): "\ue009"}

func (t *firefoxTab) press(key string, modifiers []modifier) error {
	keys := []string{}
	for _, m := range modifiers {
		keys = append(keys, string(m))
	}
	keys = append(keys, key)
	var actions []any
	add := func(kind, key string) {
		value := key
		if named, ok := keyValues[key]; ok {
			value = named
		}
		actions = append(actions, map[string]any{"type": kind, "value": value})
	}
	for _, key := range keys {
		add("keyDown", key)
	}
	for _, key := range slices.Backward(keys) {
		add("keyUp", key)
	}
	return t.act("input.performActions", map[string]any{"actions": []any{map[string]any{"type": "key", "id": "keyboard", "actions": actions}}}, nil)
}

func (t *firefoxTab) upload(selector string, paths []string) error {
	element, err := t.value(fmt.Sprintf(`document.querySelector(%q)`, selector))
	if err != nil {
		return err
	}
	return t.act("input.setFiles", map[string]any{"element": map[string]any{"sharedId": element.SharedID}, "files": paths}, nil)
}

// emulate sets the page's own choice of colours: Firefox has no command for the system's.
func (t *firefoxTab) emulate(dark bool, width, height int, mobile bool) error {
	theme := "auto"
	if dark {
		theme = "dark"
	}
	if err := t.run(`dispatchEvent(new CustomEvent("trit-theme", { detail: "` + theme + `" }))`); err != nil {
		return err
	}
	return t.act("browsingContext.setViewport", map[string]any{"viewport": map[string]any{"width": width, "height": height}, "devicePixelRatio": 2}, nil)
}

func (t *firefoxTab) speak(language string) error {
	return t.browser.command("emulation.setLocaleOverride", map[string]any{"locale": language, "contexts": []string{t.context}}, nil)
}

func (t *firefoxTab) screenshot() ([]byte, error) {
	var shot struct{ Data []byte }
	err := t.act("browsingContext.captureScreenshot", map[string]any{"origin": "viewport"}, &shot)
	return shot.Data, err
}
