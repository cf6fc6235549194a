package browser

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestLongConversation: of 2,000 messages only those near the end are drawn; the others when they come near.
func TestLongConversation(t *testing.T) {
	p, _ := openMockAlone(t)
	var messages strings.Builder
	for i := range 1000 {
		fmt.Fprintf(&messages, `{"role":"user","content":"question %d"},{"role":"assistant","content":"**answer** %d\n\n- one\n- two\n\n| a | b |\n|---|---|\n| c | d |"},`, i, i)
	}
	path := filepath.Join(t.TempDir(), "long.json")
	if err := os.WriteFile(path, []byte("["+strings.TrimSuffix(messages.String(), ",")+"]"), 0o644); err != nil {
		t.Fatal(err)
	}
	p.upload("#import-file", path)
	p.until(`document.querySelectorAll(".message").length === 2000`)
	begun := time.Now()
	p.reload()
	p.until(`document.querySelectorAll(".message").length === 2000 && document.querySelector(".message.last strong")`)
	t.Logf("a reload takes %v", time.Since(begun))
	if n := eval[int](p, `document.getElementsByTagName("*").length`); n > 20_000 {
		t.Errorf("the page has %d elements", n)
	}
	// Text that is not drawn yet is there to be found; it is drawn when it is looked at.
	p.until(`document.querySelector(".message:nth-child(2) .content").textContent.startsWith("**answer** 0")`)
	p.script(`document.getElementById("thread").scrollTop = 0`)
	p.until(`document.querySelector(".message:nth-child(2) strong")?.innerText === "answer"`)
	p.until(`document.querySelector('.message [aria-label="Edit and send again"]')`)
	frame := eval[float64](p, `new Promise((resolve) => {
		const input = document.getElementById("input");
		input.focus();
		const begun = performance.now();
		let n = 0;
		const type = () => {
			input.value += "word ";
			input.dispatchEvent(new Event("input", { bubbles: true }));
			input.scrollHeight;
			if (++n === 20) resolve((performance.now() - begun) / 20);
			else setTimeout(type);
		};
		type();
	})`)
	t.Logf("a key takes %.1f ms", frame)
	// The page keeps up with the screen while somebody scrolls, and while an answer is written.
	smooth := func(what string, begin func(), going string) {
		t.Helper()
		// Others that use the processor make it slow now and then: the best of three counts.
		var f struct{ Frames, Late, Median, Longest float64 }
		for range 3 {
			begin()
			data := eval[string](p, fmt.Sprintf(frames, going))
			if err := json.Unmarshal([]byte(data), &f); err != nil {
				t.Fatal(err)
			}
			p.press("Escape") // ends the answer
			p.idle()
			t.Logf("%s: %.0f frames, one in %.1f ms, %.1f %% late, the longest %.0f ms", what, f.Frames, f.Median, 100*f.Late/f.Frames, f.Longest)
			if f.Late <= f.Frames/20 {
				return
			}
		}
		if contention() < 1.2 {
			t.Errorf("%s: %.0f of %.0f frames are late", what, f.Late, f.Frames)
		}
	}
	smooth("scrolling", func() { p.script(`document.getElementById("thread").scrollTop = 0`) }, `thread.scrollTop += 60`)
	smooth("jumping", func() { p.script(`document.getElementById("thread").scrollTop = 0`) }, `thread.scrollTop += 3000`)
	smooth("writing", func() { p.begin("/slow"); p.until(`document.querySelector(".message.last .content").innerText !== ""`) }, `0`)
}

// frames counts those of two seconds, and those that come more than half a frame too late.
const frames = `new Promise((resolve) => {
	const thread = document.getElementById("thread");
	const spans = [];
	let last = 0;
	const frame = (now) => {
		if (last) spans.push(now - last);
		last = now;
		%s;
		if (spans.length < 120) requestAnimationFrame(frame);
		else resolve(JSON.stringify({ frames: spans.length, late: spans.filter((span) => span > 25).length,
			median: spans.sort((a, b) => a - b)[60], longest: spans.at(-1) }));
	};
	requestAnimationFrame(frame);
})`
