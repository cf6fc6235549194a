package control

import "testing"

func TestSign(t *testing.T) {
	if _ = Even(1); !Sign(1) {
		t.Error("1 is not positive")
	}
}
