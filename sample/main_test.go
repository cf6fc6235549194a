package sample

import (
	"flag"
	"os"
	"testing"
)

// TestMain raises rapid's default of 100 random cases per property, which is
// too few for properties with this many options.
func TestMain(m *testing.M) {
	if f := flag.Lookup("rapid.checks"); f != nil {
		if err := f.Value.Set("1000"); err != nil {
			panic(err)
		}
	}
	flag.Parse() // an explicit -rapid.checks wins
	os.Exit(m.Run())
}
