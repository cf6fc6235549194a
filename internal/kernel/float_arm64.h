// Vector instructions that Go's arm64 assembler does not know, as encoded words.
// Operands are register numbers in the assembler's order: sources, then
// destination; d = n op m. "4" stands for four float32 lanes, "2D" for two
// float64 lanes.

#define FADD4(m, n, d) WORD $(0x4e20d400 | (m)<<16 | (n)<<5 | (d)) // FADD Vd.4S, Vn.4S, Vm.4S
#define FSUB4(m, n, d) WORD $(0x4ea0d400 | (m)<<16 | (n)<<5 | (d)) // FSUB Vd.4S, Vn.4S, Vm.4S
#define FMUL4(m, n, d) WORD $(0x6e20dc00 | (m)<<16 | (n)<<5 | (d)) // FMUL Vd.4S, Vn.4S, Vm.4S
#define FDIV4(m, n, d) WORD $(0x6e20fc00 | (m)<<16 | (n)<<5 | (d)) // FDIV Vd.4S, Vn.4S, Vm.4S
#define FMIN4(m, n, d) WORD $(0x4ea0f400 | (m)<<16 | (n)<<5 | (d)) // FMIN Vd.4S, Vn.4S, Vm.4S
#define FMAX4(m, n, d) WORD $(0x4e20f400 | (m)<<16 | (n)<<5 | (d)) // FMAX Vd.4S, Vn.4S, Vm.4S
#define FCMGT4(m, n, d) WORD $(0x6ea0e400 | (m)<<16 | (n)<<5 | (d)) // FCMGT Vd.4S, Vn.4S, Vm.4S: n > m
#define BIT16(m, n, d) WORD $(0x6ea01c00 | (m)<<16 | (n)<<5 | (d)) // BIT Vd.16B, Vn.16B, Vm.16B: n where m is set
#define FNEG4(n, d) WORD $(0x6ea0f800 | (n)<<5 | (d)) // FNEG Vd.4S, Vn.4S
#define SSHR4_1(n, d) WORD $(0x4f3f0400 | (n)<<5 | (d)) // SSHR Vd.4S, Vn.4S, #1
#define SCVTF4(n, d) WORD $(0x4e21d800 | (n)<<5 | (d)) // SCVTF Vd.4S, Vn.4S
#define FCVTL4(n, d) WORD $(0x0e217800 | (n)<<5 | (d)) // FCVTL Vd.4S, Vn.4H
#define FCVTL4_2(n, d) WORD $(0x4e217800 | (n)<<5 | (d)) // FCVTL2 Vd.4S, Vn.8H
#define FCVTL2D(n, d) WORD $(0x0e617800 | (n)<<5 | (d)) // FCVTL Vd.2D, Vn.2S
#define FCVTL2D_2(n, d) WORD $(0x4e617800 | (n)<<5 | (d)) // FCVTL2 Vd.2D, Vn.4S
#define FADD2D(m, n, d) WORD $(0x4e60d400 | (m)<<16 | (n)<<5 | (d)) // FADD Vd.2D, Vn.2D, Vm.2D
#define FMUL2D(m, n, d) WORD $(0x6e60dc00 | (m)<<16 | (n)<<5 | (d)) // FMUL Vd.2D, Vn.2D, Vm.2D
#define SXTL8(n, d) WORD $(0x0f08a400 | (n)<<5 | (d)) // SXTL Vd.8H, Vn.8B
#define SXTL8_2(n, d) WORD $(0x4f08a400 | (n)<<5 | (d)) // SXTL2 Vd.8H, Vn.16B
#define SXTL4(n, d) WORD $(0x0f10a400 | (n)<<5 | (d)) // SXTL Vd.4S, Vn.4H
#define SXTL4_2(n, d) WORD $(0x4f10a400 | (n)<<5 | (d)) // SXTL2 Vd.4S, Vn.8H
#define SHLL4(n, d) WORD $(0x2e613800 | (n)<<5 | (d)) // SHLL Vd.4S, Vn.4H, #16
#define SHLL4_2(n, d) WORD $(0x6e613800 | (n)<<5 | (d)) // SHLL2 Vd.4S, Vn.8H, #16

// A rounded product added to a sum: never a fused multiply-add. t is scratch.
#define MULADD4(m, n, t, d) FMUL4(m, n, t); FADD4(t, d, d)
