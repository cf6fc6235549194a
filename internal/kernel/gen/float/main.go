// Command float generates the amd64 assembly of the float kernels: the same
// kernels for SSE4.1, for AVX2 and for AVX-512, with the operations of the pure-Go twins in
// the same order, so that the results have the same bits. No fused multiply-add
// is ever emitted.
//
// Run it through go generate in the kernel package.
package main

import (
	"flag"
	"fmt"
	"os"

	. "github.com/mmcloughlin/avo/build"

	"trit/internal/kernel/gen/legacy"
)

func main() {
	parts := map[string]func(isa){
		"vector":    vectorKernels,
		"exp":       expKernels,
		"attention": attentionKernels,
		"head":      headKernels,
		"hadamard":  hadamardKernels,
		"delta":     deltaKernels,
	}
	part := flag.String("part", "", "the group of kernels to generate: vector, exp, attention, head, hadamard or delta")
	flag.Parse()
	generate, ok := parts[*part]
	if !ok {
		fmt.Fprintf(os.Stderr, "float: unknown part %q\n", *part)
		os.Exit(2)
	}
	ConstraintExpr("!noasm")
	for _, level := range []isa{sse41, avx2, avx512} {
		generate(level)
	}
	legacy.Lower()
	Generate()
}
