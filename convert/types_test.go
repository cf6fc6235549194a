package convert

import (
	"slices"
	"testing"
)

// Every type that projections can be stored as has a number that files call it by.
func TestTypesHaveFileTypes(t *testing.T) {
	for _, typ := range slices.Concat(Types(), QuantizeTypes()) {
		if _, ok := typ.FileType(); !ok {
			t.Errorf("%v has no general.file_type", typ)
		}
	}
}
