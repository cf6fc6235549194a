package main

import (
	"encoding/json"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trit/internal/version"
)

func TestVersion(t *testing.T) {
	want := "trit version " + version.Get().String() + "\n"
	for _, args := range [][]string{{"version"}, {"--version"}, {"-v"}} {
		r := runTrit(t, args...)
		r.expect(t, exitOK)
		if r.out != want || r.err != "" {
			t.Errorf("%v prints %q and %q, want %q", args, r.out, r.err, want)
		}
	}
	var got version.Info
	if err := json.Unmarshal([]byte(runTrit(t, "version", "--json").out), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(version.Get(), got); diff != "" {
		t.Errorf("--json (-want +got):\n%s", diff)
	}
	runTrit(t, "version", "x").expect(t, exitUsage, `"x"`)
}
