// What the kernels of attention share.

// Loads of 32 elements at (p), which advances past them, as float32 into
// V16…V23. They use V28…V31.
#define LOAD32_F32(p) \
	VLD1.P 64(p), [V16.S4, V17.S4, V18.S4, V19.S4]; \
	VLD1.P 64(p), [V20.S4, V21.S4, V22.S4, V23.S4]

#define LOAD32_F16(p) \
	VLD1.P 64(p), [V28.H8, V29.H8, V30.H8, V31.H8]; \
	FCVTL4(28, 16); \
	FCVTL4_2(28, 17); \
	FCVTL4(29, 18); \
	FCVTL4_2(29, 19); \
	FCVTL4(30, 20); \
	FCVTL4_2(30, 21); \
	FCVTL4(31, 22); \
	FCVTL4_2(31, 23)

#define LOAD32_I8(p) \
	VLD1.P 32(p), [V28.B16, V29.B16]; \
	SXTL8(28, 30); \
	SXTL8_2(28, 31); \
	SXTL4(30, 16); \
	SXTL4_2(30, 17); \
	SXTL4(31, 18); \
	SXTL4_2(31, 19); \
	SXTL8(29, 30); \
	SXTL8_2(29, 31); \
	SXTL4(30, 20); \
	SXTL4_2(30, 21); \
	SXTL4(31, 22); \
	SXTL4_2(31, 23); \
	SCVTF4(16, 16); \
	SCVTF4(17, 17); \
	SCVTF4(18, 18); \
	SCVTF4(19, 19); \
	SCVTF4(20, 20); \
	SCVTF4(21, 21); \
	SCVTF4(22, 22); \
	SCVTF4(23, 23)

// Loads of four and of two elements at (p) into V16.
#define LOAD4_F32(p) FMOVQ (p), F16
#define LOAD2_F32(p) FMOVD (p), F16

#define LOAD4_F16(p) \
	FMOVD (p), F28; \
	FCVTL4(28, 16)

#define LOAD2_F16(p) \
	FMOVS (p), F28; \
	FCVTL4(28, 16)

#define WIDEN_I8 \
	SXTL8(28, 28); \
	SXTL4(28, 16); \
	SCVTF4(16, 16)

#define LOAD4_I8(p) \
	FMOVS (p), F28; \
	WIDEN_I8

#define LOAD2_I8(p) \
	MOVHU (p), R15; \
	FMOVS R15, F28; \
	WIDEN_I8

// MULADD32 adds the product of the scalar in all lanes of x and V16…V23 to the
// eight sums a…h. It uses V26 and V27.
#define MULADD32(x, a, b, c, d, e, f, g, h) \
	MULADD4(16, x, 26, a); \
	MULADD4(17, x, 27, b); \
	MULADD4(18, x, 26, c); \
	MULADD4(19, x, 27, d); \
	MULADD4(20, x, 26, e); \
	MULADD4(21, x, 27, f); \
	MULADD4(22, x, 26, g); \
	MULADD4(23, x, 27, h)

#define ZERO_FIRST \
	VEOR V0.B16, V0.B16, V0.B16; \
	VEOR V1.B16, V1.B16, V1.B16; \
	VEOR V2.B16, V2.B16, V2.B16; \
	VEOR V3.B16, V3.B16, V3.B16; \
	VEOR V4.B16, V4.B16, V4.B16; \
	VEOR V5.B16, V5.B16, V5.B16; \
	VEOR V6.B16, V6.B16, V6.B16; \
	VEOR V7.B16, V7.B16, V7.B16

#define ZERO_SECOND \
	VEOR V8.B16, V8.B16, V8.B16; \
	VEOR V9.B16, V9.B16, V9.B16; \
	VEOR V10.B16, V10.B16, V10.B16; \
	VEOR V11.B16, V11.B16, V11.B16; \
	VEOR V12.B16, V12.B16, V12.B16; \
	VEOR V13.B16, V13.B16, V13.B16; \
	VEOR V14.B16, V14.B16, V14.B16; \
	VEOR V15.B16, V15.B16, V15.B16

// TIMES multiplies the sums by V16…V23.
#define TIMES_FIRST \
	FMUL4(16, 0, 0); \
	FMUL4(17, 1, 1); \
	FMUL4(18, 2, 2); \
	FMUL4(19, 3, 3); \
	FMUL4(20, 4, 4); \
	FMUL4(21, 5, 5); \
	FMUL4(22, 6, 6); \
	FMUL4(23, 7, 7)

#define TIMES_SECOND \
	FMUL4(16, 8, 8); \
	FMUL4(17, 9, 9); \
	FMUL4(18, 10, 10); \
	FMUL4(19, 11, 11); \
	FMUL4(20, 12, 12); \
	FMUL4(21, 13, 13); \
	FMUL4(22, 14, 14); \
	FMUL4(23, 15, 15)

// FACTOR sets V16…V23 to the softmax scale in V24.
#define FACTOR \
	VDUP V24.S[0], V16.S4; \
	VMOV V16.B16, V17.B16; \
	VMOV V16.B16, V18.B16; \
	VMOV V16.B16, V19.B16; \
	VMOV V16.B16, V20.B16; \
	VMOV V16.B16, V21.B16; \
	VMOV V16.B16, V22.B16; \
	VMOV V16.B16, V23.B16

#define STORE_FIRST(p) \
	VST1.P [V0.S4, V1.S4, V2.S4, V3.S4], 64(p); \
	VST1.P [V4.S4, V5.S4, V6.S4, V7.S4], 64(p)

#define STORE_SECOND(p) \
	VST1.P [V8.S4, V9.S4, V10.S4, V11.S4], 64(p); \
	VST1.P [V12.S4, V13.S4, V14.S4, V15.S4], 64(p)
