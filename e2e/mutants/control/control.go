// Package control has one mutant that its test kills and one that it does not, so
// that it is known whether mutants are tried at all.
package control

// Sign returns whether n is positive. Its test asks about 1 only.
func Sign(n int) bool { return n > 0 }
