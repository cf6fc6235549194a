// The sums of a group are exact in integers; FINISH adds them, scaled, to the float32 sums
// in memory. A record of activations holds 128 codes, minus their sum, their scale and four
// more bytes.

// The integer sums in vectors n to n+3, op (IADD or ISUB) the sum of the codes, times
// the weights' scales in V20–V23 and the activations' scale. rx points behind the codes
// of the record and is moved to the next; R9 to the float32 sums, likewise.
#define FINISH(rx, n, op) \
	VLD1R.P 4(rx), [V24.S4];                            \
	VLD1R.P 4(rx), [V25.S4];                            \
	ADD     $4, rx;                                     \
	VLD1    (R9), [V26.S4, V27.S4, V28.S4, V29.S4];     \
	SCALED((n+0), 20, 26, op);                          \
	SCALED((n+1), 21, 27, op);                          \
	SCALED((n+2), 22, 28, op);                          \
	SCALED((n+3), 23, 29, op);                          \
	VST1.P  [V26.S4, V27.S4, V28.S4, V29.S4], 64(R9)

#define SCALED(n, scale, sum, op) \
	op(n, 24, n);       \
	SCVTF(n, n);        \
	FMUL(n, n, scale);  \
	FMUL(n, n, 25);     \
	FADD(sum, sum, n)

// The binary16 scales of a G5 record, a nibble in the upper half of each byte of a
// row's lane, from vector v (number n) to float32 in the same; R10 holds 0x00FF00FF.
#define SCALE5(b16, s4, n) \
	VUSHR $4, b16, b16;          \
	VUSHR $4, s4, V24.S4;        \
	VORR  V24.B16, b16, b16;     \
	VAND  V19.B16, b16, b16;     \
	VUSHR $8, s4, V24.S4;        \
	VORR  V24.B16, b16, b16;     \
	XTN(n, n);                   \
	FCVTL(n, n)

#define SCALES5 \
	MOVD  $0x00FF00FF, R10;           \
	VDUP  R10, V19.S4;                \
	SCALE5(V20.B16, V20.S4, 20);      \
	SCALE5(V21.B16, V21.S4, 21);      \
	SCALE5(V22.B16, V22.S4, 22);      \
	SCALE5(V23.B16, V23.S4, 23)

// The binary16 scales of both groups of a G1 record are in the lanes of its last
// block, which R10 points to: of the first group in the lower halves.
#define SCALES1(narrow) \
	VLD1 (R10), [V20.S4, V21.S4, V22.S4, V23.S4]; \
	narrow(20, 20); FCVTL(20, 20);                \
	narrow(21, 21); FCVTL(21, 21);                \
	narrow(22, 22); FCVTL(22, 22);                \
	narrow(23, 23); FCVTL(23, 23)
