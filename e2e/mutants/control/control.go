// Package control has, in its sample, one mutant that its test kills and one that it
// does not, and others outside of it, so that it is known whether mutants are tried at
// all, and which.
package control

// Sign returns whether n is positive. Its test asks about 1 only.
func Sign(n int) bool { return n > 0 }

// Even returns whether n is even, which its test does not look at.
func Even(n int) bool { return n%2 == 0 }
