package half_test

import (
	"fmt"

	"trit/internal/half"
)

func Example() {
	h := half.F32ToF16(0.75)
	fmt.Printf("%#04x %g\n", h, half.F16ToF32(h))
	fmt.Printf("%#04x\n", half.F32ToBF16(3.140625))
	// Output:
	// 0x3a00 0.75
	// 0x4049
}
