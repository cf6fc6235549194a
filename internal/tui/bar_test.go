package tui

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestBar follows the line that stands on the terminal.
func TestBar(t *testing.T) {
	var out strings.Builder
	now := time.Unix(1000, 0)
	b := NewBar(&out, "loading", func(n int64) string { return fmt.Sprintf("%d MB", n) })
	b.now = func() time.Time { return now }
	shows := func(want string) {
		t.Helper()
		lines := strings.Split(out.String(), "\r")
		if got := strings.TrimRight(lines[len(lines)-1], " "); got != want {
			t.Errorf("the line is %q, want %q", got, want)
		}
	}
	half := strings.Repeat("█", barCells/2)
	b.Set(100, 400) // 100 were there before
	shows("loading  25 % ▕" + half[:len(half)/2] + strings.Repeat(" ", barCells-barCells/4) + "▏ 100 MB of 400 MB")
	now = now.Add(barEvery / 2)
	b.Set(150, 400) // too soon
	shows("loading  25 % ▕" + half[:len(half)/2] + strings.Repeat(" ", barCells-barCells/4) + "▏ 100 MB of 400 MB")
	now = time.Unix(1002, 0)
	b.Set(200, 400)
	shows("loading  50 % ▕" + half + strings.Repeat(" ", barCells/2) + "▏ 200 MB of 400 MB, 50 MB/s, 4s left")
	b.Describe("check\x1b[2Jing")
	shows("check[2Jing  50 % ▕" + half + strings.Repeat(" ", barCells/2) + "▏ 200 MB of 400 MB, 50 MB/s, 4s left")
	b.Set(400, 400) // the end is always shown
	shows("check[2Jing 100 % ▕" + half + half + "▏ 400 MB of 400 MB, 150 MB/s")
	b.Clear()
	shows("")
	if got := out.String(); !strings.HasSuffix(got, "\r"+strings.Repeat(" ", len([]rune("check[2Jing 100 % ▕"))+barCells+len([]rune("▏ 400 MB of 400 MB, 150 MB/s")))+"\r") {
		t.Errorf("the line is not cleared: %q", got)
	}
	b.Set(7, 0) // nobody knows of how much
	shows("check[2Jing 7 MB")

	out.Reset()
	b = NewBar(&out, "steps", nil)
	b.Set(0, 0)
	if out.Len() != 0 {
		t.Errorf("nothing of nothing shows %q", out.String())
	}
	b.Set(5, 4) // more than all
	shows("steps 100 % ▕" + half + half + "▏")

	var none *Bar
	none.Set(1, 2)
	none.Describe("nothing")
	none.Clear()
}
