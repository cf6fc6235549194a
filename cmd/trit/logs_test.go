package main

import (
	"strings"
	"testing"
	"time"
)

// TestLogs shows the log of a running server, for people and for programs.
func TestLogs(t *testing.T) {
	url, _, stop := startServe(t, "--model", "demo")
	runTrit(t, "ps", "--url", url).expect(t, exitOK)
	var got result
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if got = runTrit(t, "logs", "--url", url); strings.Contains(got.out, "/api/ps") && strings.Contains(got.out, "loaded") {
			break
		}
	}
	got.expect(t, exitOK, "INFO  model loaded model=demo", "method=GET path=/api/ps status=200 duration=")
	runTrit(t, "logs", "--url", url, "--json", "--lines", "50").expect(t, exitOK, `"msg":"model loaded","model":"demo"`)
	runTrit(t, "logs", "--url", url, "--lines", "-1").expect(t, exitUsage, "--lines")
	stop()
	runTrit(t, "logs", "--url", url).expect(t, exitFailed, url)
	runTrit(t, "logs", "more").expect(t, exitUsage, "more")
}

// TestLogLine: a line for people has nothing that commands a terminal.
func TestLogLine(t *testing.T) {
	t.Setenv("TZ", "UTC")
	for in, want := range map[string]string{
		`{"time":"today","level":"WARN","msg":"a b","b":1,"a":"x y","c":"","duration":1500000}`:  `today WARN  a b b=1 a="x y" c="" duration=1.5ms`,
		`{"time":"t","level":"INFO","msg":"\u001b[2J","k\u0007":"\u001b]0;x","o":{"p":[1,"="]}}`: `t INFO  "\x1b[2J" "k\a"="\x1b]0;x" o="{\"p\":[1,\"=\"]}"`,
		`{"msg":"x"}`: `   x`,
	} {
		if got, err := logLine([]byte(in)); err != nil {
			t.Errorf("%s: %v", in, err)
		} else if strings.TrimSpace(got) != strings.TrimSpace(want) {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
	for _, bad := range []string{"", "[]", `{"a":`, `{"a"}`, "text"} {
		if got, err := logLine([]byte(bad)); err == nil {
			t.Errorf("%q gives %q", bad, got)
		}
	}
}
