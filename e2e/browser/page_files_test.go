package browser

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// writeFiles makes files in a folder that is gone after the test.
func writeFiles(t *testing.T, contents map[string]string) (paths []string) {
	t.Helper()
	folder := t.TempDir()
	for name, text := range contents {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths
}

// give fires an event that carries a file, as dropping and pasting do.
func (p *page) give(event, field, name, text string) {
	p.t.Helper()
	p.script(`{
		const data = new DataTransfer();
		data.items.add(new File([` + text + `], ` + name + `, { type: "text/plain" }));
		const event = new ` + event + `, { bubbles: true, cancelable: true, ` + field + `: data });
		// Firefox lets no page make a paste with files.
		if (event.` + field + `?.files.length !== 1) Object.defineProperty(event, "` + field + `", { value: data });
		document.getElementById("input").dispatchEvent(event);
	}`)
}

func TestAttachments(t *testing.T) {
	p, server := openMock(t)
	// By the button, several at once; by dropping; by pasting.
	paths := writeFiles(t, map[string]string{"a.go": "package a // ```go\r\n", "b.csv": "city,people\nParis,2\n"})
	p.upload("#attach-file", paths...)
	p.until(`document.querySelectorAll(".file-chip").length === 2`)
	p.give(`DragEvent("drop"`, "dataTransfer", `"<img src=x onerror=window.pwned=1>.txt"`, `"<script>window.pwned=2</script>"`)
	p.until(`document.querySelectorAll(".file-chip").length === 3`)
	p.give(`ClipboardEvent("paste"`, "clipboardData", `"c.txt"`, `"third"`)
	p.until(`[...document.querySelectorAll(".file-chip .file-size")].map((e) => e.textContent).join() === "11 tokens,11 tokens,22 tokens,7 tokens"`)
	p.shoot("files-draft")
	p.click(`[aria-label="Remove c.txt"]`)
	// What is attached survives a reload, like what is typed.
	p.reload()
	p.until(`document.querySelectorAll(".file-chip").length === 3`)
	p.script(`document.getElementById("input").focus()`)
	p.write("Which city?")
	p.press("Enter")
	p.idle()
	got := contents(t, lastBody(t, server))
	want := "user: File \"a.go\":\n````\npackage a // ```go\n````\n\nFile \"b.csv\":\n```\ncity,people\nParis,2\n```\n\n" +
		"File \"<img src=x onerror=window.pwned=1>.txt\":\n```\n<script>window.pwned=2</script>\n```\n\nWhich city?"
	if len(got) != 1 || got[0] != want {
		t.Errorf("the request holds %q, want %q", got, want)
	}
	p.until(`document.querySelectorAll(".message.user .file").length === 3 && document.getElementById("files").hidden`)
	p.click(".message.user .file summary")
	p.until(`document.querySelector(".file pre").innerText.startsWith("package a")`)
	p.shoot("files-sent")
	// An edited question keeps its files, also after a reload and in an export.
	p.script(`document.getElementById("input").focus()`)
	p.press("ArrowUp")
	p.until(`document.activeElement.closest(".editor")`)
	p.script(`document.activeElement.select()`)
	p.write("How many people?")
	p.press("Enter")
	p.until(`document.querySelector(".bubble")?.innerText === "How many people?"`)
	p.idle()
	if got := contents(t, lastBody(t, server)); !strings.HasPrefix(got[0], "user: File \"a.go\"") || !strings.HasSuffix(got[0], "How many people?") {
		t.Errorf("after the edit the request holds %q", got)
	}
	p.reload()
	p.until(`document.querySelectorAll(".message.user .file").length === 3`)
	if eval[bool](p, `window.pwned !== undefined`) {
		t.Error("a file's name or text became markup")
	}
}

// TestAttachmentsRefused: what is no text, and what does not fit, is said before anything is sent.
func TestAttachmentsRefused(t *testing.T) {
	p, server := openMock(t)
	p.give(`DragEvent("drop"`, "dataTransfer", `"a.pdf"`, `"%PDF-1.7\0"`)
	p.until(`document.getElementById("files-problem").textContent === "“a.pdf” is a PDF: save its text as a file and attach that."`)
	p.give(`DragEvent("drop"`, "dataTransfer", `"a.bin"`, `new Uint8Array([255, 0, 1])`)
	p.until(`document.getElementById("files-problem").textContent.startsWith("“a.bin” is not text")`)
	p.give(`DragEvent("drop"`, "dataTransfer", `"big.txt"`, `"word".repeat(600)`)
	p.until(`document.getElementById("files-warning").textContent === "The files have 606 tokens and this model takes 512: they do not fit."`)
	p.script(`document.getElementById("input").focus()`)
	p.write("Hello")
	p.press("Enter")
	if n := len(server.Bodies()); n != 0 || !eval[bool](p, `document.getElementById("send").disabled`) {
		t.Errorf("%d requests were sent though the file does not fit", n)
	}
	p.shoot("files-too-long")
	p.click(`[aria-label="Remove big.txt"]`)
	// A larger model may take it: the count is the chosen model's.
	p.press("Enter")
	p.idle()
	p.give(`DragEvent("drop"`, "dataTransfer", `"half.txt"`, `"word".repeat(495)`)
	p.until(`document.getElementById("files-warning").textContent.includes("there is room for 496: a new chat has more")`)
}
