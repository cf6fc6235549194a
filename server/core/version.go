package core

import "runtime/debug"

// Version returns the version of the program and the revision it was built from,
// as far as the build recorded them.
func Version() (version, revision string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", ""
	}
	version = info.Main.Version
	if version == "" || version == "(devel)" {
		version = "devel"
	}
	for _, setting := range info.Settings {
		if setting.Key == "vcs.revision" {
			revision = setting.Value
		}
	}
	return version, revision
}

// BuildInfo names the program and its version.
func BuildInfo() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return "trit " + info.Main.Version
	}
	return "trit"
}
