//go:build !noasm

#include "textflag.h"

// func pause()
TEXT ·pause(SB), NOSPLIT, $0-0
	PAUSE
	RET

// func fetch(at uintptr)
TEXT ·fetch(SB), NOSPLIT, $0-8
	MOVQ at+0(FP), AX
	PREFETCHT1 0(AX)
	PREFETCHT1 64(AX)
	PREFETCHT1 128(AX)
	PREFETCHT1 192(AX)
	PREFETCHT1 256(AX)
	PREFETCHT1 320(AX)
	PREFETCHT1 384(AX)
	PREFETCHT1 448(AX)
	RET
