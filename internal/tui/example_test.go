package tui_test

import (
	"fmt"

	"trit/internal/tui"
)

// What a model says may contain commands for the terminal.
func ExamplePrintable() {
	fmt.Println(tui.Printable("a \x1b[31mred\x1b[0m word\a"))
	// Output: a [31mred[0m word
}
