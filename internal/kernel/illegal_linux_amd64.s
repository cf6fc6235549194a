//go:build !noasm

#include "go_asm.h"
#include "textflag.h"

// The functions ending in Set run one instruction of each set that a level adds, and
// return 1 in AX. They have no frame, so that the handler can make them return.

TEXT sse41Set<>(SB), NOSPLIT|NOFRAME, $0-0
	PSHUFB X0, X0             // SSSE3
	PMAXUD X0, X0             // SSE4.1
	MOVQ $1, AX
	RET

TEXT avx2Set<>(SB), NOSPLIT|NOFRAME, $0-0
	VPXOR       Y0, Y0, Y0    // AVX2
	VFMADD231PS Y0, Y0, Y0    // FMA
	VCVTPH2PS   X0, Y0        // F16C
	VZEROUPPER
	MOVQ $1, AX
	RET

TEXT avxvnniSet<>(SB), NOSPLIT|NOFRAME, $0-0
	LONG $0x507de2c4; BYTE $0xc0 // VPDPBUSD Y0, Y0, Y0
	VZEROUPPER
	MOVQ $1, AX
	RET

TEXT avx512Set<>(SB), NOSPLIT|NOFRAME, $0-0
	VPXORD    Z0, Z0, Z0      // F
	VPABSB    Z0, Z0          // BW
	VXORPS    Z0, Z0, Z0      // DQ
	VPXORD    Y16, Y16, Y16   // VL
	VPDPBUSD  Z0, Z0, Z0      // VNNI
	VZEROUPPER
	MOVQ $1, AX
	RET

TEXT vbmiSet<>(SB), NOSPLIT|NOFRAME, $0-0
	VPXORD Z0, Z0, Z0
	VPERMB Z0, Z0, Z0         // VBMI
	VZEROUPPER
	MOVQ $1, AX
	RET

TEXT amxSet<>(SB), NOSPLIT|NOFRAME, $0-0
	LONG $0x4978e2c4; BYTE $0xc0 // TILERELEASE
	MOVQ $1, AX
	RET

TEXT noSet<>(SB), NOSPLIT|NOFRAME, $0-0
	UNDEF                     // for tests
	MOVQ $1, AX
	RET

// func tryLevel(level int) bool
TEXT ·tryLevel(SB), NOSPLIT, $8-9
	MOVQ level+0(FP), CX
	MOVQ $1, AX
	CMPQ CX, $-1
	JNE  isSSE41
	CALL noSet<>(SB)
	JMP  done
isSSE41:
	CMPQ CX, $const_SSE41
	JNE  isAVX2
	CALL sse41Set<>(SB)
	JMP  done
isAVX2:
	CMPQ CX, $const_AVX2
	JNE  isAVXVNNI
	CALL avx2Set<>(SB)
	JMP  done
isAVXVNNI:
	CMPQ CX, $const_AVXVNNI
	JNE  isAVX512
	CALL avxvnniSet<>(SB)
	JMP  done
isAVX512:
	CMPQ CX, $const_AVX512
	JNE  isVBMI
	CALL avx512Set<>(SB)
	JMP  done
isVBMI:
	CMPQ CX, $const_AVX512VBMI
	JNE  isAMX
	CALL vbmiSet<>(SB)
	JMP  done
isAMX:
	CMPQ CX, $const_AMX
	JNE  done
	CALL amxSet<>(SB)
done:
	MOVB AX, ret+8(FP)
	RET

// The handler has the number of the signal in DI, its information in SI and the context
// of what it has interrupted in DX. In the latter the registers begin at byte 40 with R8;
// AX is the 14th of them, SP the 16th, IP the 17th.
TEXT illegalHandler<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ 160(DX), CX          // SP, where the address to return to is
	MOVQ (CX), AX
	MOVQ AX, 168(DX)          // IP
	ADDQ $8, CX
	MOVQ CX, 160(DX)
	MOVQ $0, 144(DX)          // AX
	RET

TEXT illegalRestorer<>(SB), NOSPLIT|NOFRAME, $0-0
	MOVQ $15, AX              // rt_sigreturn
	SYSCALL
	INT  $3

// func handlerPC() (handler, restorer uintptr)
TEXT ·handlerPC(SB), NOSPLIT, $0-16
	LEAQ illegalHandler<>(SB), AX
	MOVQ AX, handler+0(FP)
	LEAQ illegalRestorer<>(SB), AX
	MOVQ AX, restorer+8(FP)
	RET
