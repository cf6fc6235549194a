// Package browser holds the tests that drive the chat page in headless
// Chromium. It has no code of its own; README.md says how to run them.
package browser
