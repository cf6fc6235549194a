// Package demo embeds a small model, with which everything can be tried without a download. A program has it when it
// imports the package for its side effect, as it would a format of images:
//
//	import _ "trit/demo"
//
// Then the name "demo" opens it. It takes 1.8 MB of the program; README.md beside it says what the model can do and
// how it was made.
package demo

import (
	_ "embed"

	"trit/hub"
)

// file is demo.gguf, compressed. TestFile makes it anew when it is run with TRIT_UPDATE=1.
//
//go:embed demo.gguf.gz
var file []byte

func init() {
	hub.Embed(hub.Demo, "a tiny model of stories, facts and sums, built into the program", file)
}
