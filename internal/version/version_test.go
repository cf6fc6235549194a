package version

import (
	"runtime"
	"runtime/debug"
	"testing"
)

func TestDescribe(t *testing.T) {
	if module == "" || module == "internal/version" {
		t.Fatalf("the module is %q", module)
	}
	commit := []debug.BuildSetting{
		{Key: "vcs.revision", Value: "0123456789abcdef"}, {Key: "vcs.time", Value: "2026-11-28T10:11:12Z"}, {Key: "vcs.modified", Value: "true"},
	}
	main := func(version string, settings []debug.BuildSetting) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Path: module, Version: version}, Settings: settings}
	}
	// A program that uses the library has a version and a commit of its own.
	other := func(dep debug.Module) *debug.BuildInfo {
		return &debug.BuildInfo{Main: debug.Module{Path: "example.org/other", Version: "v7.8.9"}, Settings: commit, Deps: []*debug.Module{{Path: "x", Version: "v1.0.0"}, &dep}}
	}
	for name, c := range map[string]struct {
		build             *debug.BuildInfo
		release           string
		version, revision string
	}{
		"nothing known":       {nil, "", "devel", ""},
		"release":             {main("(devel)", nil), "v1.2.3", "v1.2.3", ""},
		"tag":                 {main("v1.2.3", commit), "", "v1.2.3", "0123456789abcdef"},
		"between tags":        {main("v0.0.0-20261128101112-0123456789ab+dirty", commit), "", "v0.0.0-20261128101112-0123456789ab+dirty", "0123456789abcdef"},
		"commit only":         {main("(devel)", commit), "", "devel+0123456789ab", "0123456789abcdef"},
		"without a checkout":  {main("(devel)", nil), "", "devel", ""},
		"old go":              {main("", nil), "", "devel", ""},
		"library":             {other(debug.Module{Path: module, Version: "v1.2.3"}), "", "v1.2.3", ""},
		"library in a folder": {other(debug.Module{Path: module, Version: "v0.0.0", Replace: &debug.Module{Path: "../trit"}}), "", "devel", ""},
		"library in a copy":   {other(debug.Module{Path: module, Version: "v1.0.0", Replace: &debug.Module{Path: "example.org/copy", Version: "v1.0.1"}}), "", "v1.0.1", ""},
	} {
		got := describe(c.build, c.release)
		if got.Version != c.version || got.Revision != c.revision {
			t.Errorf("%s: %+v, want the version %s and the revision %q", name, got, c.version, c.revision)
		}
		if got.Modified != (c.revision != "") || (got.Time != "") != (c.revision != "") {
			t.Errorf("%s: %+v", name, got)
		}
		if want := c.version + " " + runtime.Version() + " " + runtime.GOOS + "/" + runtime.GOARCH; got.String() != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}
