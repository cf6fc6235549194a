// Package version says what was built. Whatever names a version, the commands, the server and traces, takes it from
// here, and "go version -m" shows the same.
package version

import (
	"fmt"
	"reflect"
	"runtime"
	"runtime/debug"
	"strings"
)

// release is set by builds of releases from sources without their history:
//
//	go build -ldflags "-X trit/internal/version.release=v1.2.3" ./cmd/trit
var release string

// Info describes a build.
type Info struct {
	// Version is the release, such as v1.2.3; between releases what Go makes of the commit, such as
	// v0.0.0-20261128101112-0123456789ab; "devel" if the build knows nothing.
	Version string `json:"version"`
	// Revision is the commit, Time its date in the form of RFC 3339. Modified is set if files differed from it. They
	// are known only of programs that were built in a checkout.
	Revision string `json:"revision,omitempty"`
	Time     string `json:"time,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	// Go is the version of the compiler, System the operating system and the processor.
	Go     string `json:"go"`
	System string `json:"system"`
}

// Get describes the running program, or if Trit is only a part of it, that part.
func Get() Info {
	build, _ := debug.ReadBuildInfo()
	return describe(build, release)
}

// String returns the version, the compiler and the system in one line.
func (i Info) String() string { return fmt.Sprintf("%s %s %s", i.Version, i.Go, i.System) }

// module is the path of the module that this package belongs to.
var module = strings.TrimSuffix(reflect.TypeFor[Info]().PkgPath(), "/internal/version")

// describe reads what Go has recorded, which may be nil.
func describe(build *debug.BuildInfo, release string) Info {
	info := Info{Version: release, Go: runtime.Version(), System: runtime.GOOS + "/" + runtime.GOARCH}
	if build != nil {
		recorded := ""
		if build.Main.Path == module {
			recorded = build.Main.Version
			info.readCommit(build.Settings)
		}
		for _, dep := range build.Deps {
			if dep.Path == module {
				recorded = dep.Version
				if dep.Replace != nil { // by a folder, whose version is unknown, or by a copy
					recorded = dep.Replace.Version
				}
			}
		}
		if info.Version == "" && recorded != "(devel)" {
			info.Version = recorded
		}
	}
	if info.Version == "" {
		info.Version = "devel"
		if info.Revision != "" {
			info.Version += "+" + info.Revision[:min(12, len(info.Revision))]
		}
	}
	return info
}

// readCommit reads what is known of the commit.
func (i *Info) readCommit(settings []debug.BuildSetting) {
	for _, s := range settings {
		switch s.Key {
		case "vcs.revision":
			i.Revision = s.Value
		case "vcs.time":
			i.Time = s.Value
		case "vcs.modified":
			i.Modified = s.Value == "true"
		}
	}
}
