package kernel

import "testing"

func TestStreamRead(t *testing.T) {
	forEachLevel(t, measurePart, func(t *testing.T, _ *kernels) {
		buf := make([]byte, 2100)
		for i := range buf {
			buf[i] = byte(i*i + i>>3)
		}
		for n := range buf {
			var want [8]byte
			for i, b := range buf[:n] {
				want[i%8] ^= b
			}
			got := StreamRead(buf[:n])
			for i := range want {
				if byte(got>>(8*i)) != want[i] {
					t.Fatalf("%d bytes: %#x, want % x", n, got, want)
				}
			}
		}
		if n := Int8Peak(10); n <= 0 || Int8Peak(20) != 2*n || Int8Peak(0) != 0 || Int8Peak(-1) != 0 {
			t.Errorf("10 rounds are %d multiply-accumulates", n)
		}
	})
}
