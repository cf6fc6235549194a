// Package suites runs the test suites of other servers against `trit serve`, and compares what fails with lists of what
// is expected to, and why. README.md says how.
package suites
