package gguf

import (
	"errors"
	"strings"
	"testing"
)

// TestRefuse: an id that does not go with the bytes is told with what they are.
func TestRefuse(t *testing.T) {
	for extent, want := range map[int64]string{
		28672: "28672 bytes, 112.0 for 512 elements, as IQ1_M or PTQ1_0 takes: the id is wrong; download or convert the file again",
		28673: "28673 bytes, 112.0 for 512 elements",
	} {
		err := refuse(rawTensor{name: "blk.0.ffn_up.weight", dims: []int64{256, 512}, id: 42}, extent)
		if !errors.Is(err, ErrUnsupported) || !strings.HasSuffix(err.Error(), want) || !strings.Contains(err.Error(), "Q2_0 (36864 bytes)") {
			t.Errorf("%d bytes: %v", extent, err)
		}
	}
}
