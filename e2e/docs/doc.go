// Package docs tests what readers read: that lines fit a window, and that every
// command can be run as it is printed.
//
// The commands are those of README.md, CONTRIBUTING.md and docs/*.md, and the
// examples in the help of each command of the program. Each page is run from its
// beginning to its end in a home of its own and a copy of the checkout, without
// the environment of whoever runs the test. So what a command needs has to be
// made by the commands before it.
//
//   - A block ```sh is run line by line. A block ```console, which also shows what
//     is printed, belongs to the tests of cmd/trit.
//   - Code in a line of prose that begins with the program's name or go is a
//     command. It is run if it names the demo model or is go's; others show what to
//     type, with a word in capitals or … for what the reader knows, and only their
//     flags are checked, by asking for help.
//   - "trit serve" runs until the next one, or the end of the page.
//   - exceptions_test.go lists what cannot be done here, and why. An entry that
//     matches nothing is an error.
//
// It runs if TRIT_DOCS is set, which .ci/run does.
package docs
