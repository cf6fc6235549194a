// Instructions that Go's assembler does not know, by the numbers of their
// vector registers: destination, first operand, second operand.

// SDOT Vd.4S, Vn.16B, Vm.4B[i]
#define SDOT(d, n, m, i) WORD $(0x4F80E000 | ((i & 1) << 21) | ((i >> 1) << 11) | (m << 16) | (n << 5) | d)

// SMMLA Vd.4S, Vn.16B, Vm.16B
#define SMMLA(d, n, m) WORD $(0x4E80A400 | ((m) << 16) | ((n) << 5) | (d))

// SMLAL Vd.8H, Vn.8B, Vm.8B and SMLAL2 Vd.8H, Vn.16B, Vm.16B
#define SMLAL(d, n, m) WORD $(0x0E208000 | (m << 16) | (n << 5) | d)
#define SMLAL2(d, n, m) WORD $(0x4E208000 | (m << 16) | (n << 5) | d)

// SADDLP Vd.4S, Vn.8H
#define SADDLP(d, n) WORD $(0x4E602800 | (n << 5) | d)

// UMAXV Sd, Vn.4S
#define UMAXV(d, n) WORD $(0x6EB0A800 | (n << 5) | d)

// SQXTN Vd.4H, Vn.4S; SQXTN2 Vd.8H, Vn.4S; SQXTN Vd.8B, Vn.8H; SQXTN2 Vd.16B, Vn.8H
#define SQXTN_H(d, n) WORD $(0x0E614800 | (n << 5) | d)
#define SQXTN2_H(d, n) WORD $(0x4E614800 | (n << 5) | d)
#define SQXTN_B(d, n) WORD $(0x0E214800 | (n << 5) | d)
#define SQXTN2_B(d, n) WORD $(0x4E214800 | (n << 5) | d)

// SCVTF Vd.4S, Vn.4S; FCVTNS Vd.4S, Vn.4S (to nearest, ties to even)
#define SCVTF(d, n) WORD $(0x4E21D800 | (n << 5) | d)
#define FCVTNS(d, n) WORD $(0x4E21A800 | (n << 5) | d)

// FADD, FSUB, FMUL, FDIV Vd.4S, Vn.4S, Vm.4S; FMUL Vd.4S, Vn.4S, Vm.S[i]
#define FADD(d, n, m) WORD $(0x4E20D400 | (m << 16) | (n << 5) | d)
#define FSUB(d, n, m) WORD $(0x4EA0D400 | (m << 16) | (n << 5) | d)
#define FMUL(d, n, m) WORD $(0x6E20DC00 | (m << 16) | (n << 5) | d)
#define FDIV(d, n, m) WORD $(0x6E20FC00 | (m << 16) | (n << 5) | d)
#define FMULE(d, n, m, i) WORD $(0x4F809000 | ((i & 1) << 21) | ((i >> 1) << 11) | (m << 16) | (n << 5) | d)

// ADD and SUB Vd.4S, Vn.4S, Vm.4S
#define IADD(d, n, m) WORD $(0x4EA08400 | (m << 16) | (n << 5) | d)
#define ISUB(d, n, m) WORD $(0x6EA08400 | (m << 16) | (n << 5) | d)

// XTN Vd.4H, Vn.4S; SHRN Vd.4H, Vn.4S, #16; FCVTL Vd.4S, Vn.4H
#define XTN(d, n) WORD $(0x0E612800 | (n << 5) | d)
#define SHRN16(d, n) WORD $(0x0F108400 | (n << 5) | d)
#define FCVTL(d, n) WORD $(0x0E217800 | (n << 5) | d)

// CMLT Vd.16B, Vn.16B, #0
#define CMLT0(d, n) WORD $(0x4E20A800 | (n << 5) | d)

// Field f of the codes in vector raw goes to V24; V31 holds 3 in every byte.
#define FIELD0(raw) VAND raw, V31.B16, V24.B16
#define FIELD1(raw) VUSHR $2, raw, V24.B16; VAND V24.B16, V31.B16, V24.B16
#define FIELD2(raw) VUSHR $4, raw, V24.B16; VAND V24.B16, V31.B16, V24.B16
#define FIELD3(raw) VUSHR $6, raw, V24.B16

#define ZERO4(a, b, c, d) VEOR a, a, a; VEOR b, b, b; VEOR c, c, c; VEOR d, d, d

// The digits of the T5 bytes in V20: four 2-bit fields to V22, the fifth code
// to V23. V25–V30 hold the table, V21 and V19 are scratch, V17 and V18 hold
// 81 and 64 in every byte. Below 81 a subtraction wraps to a larger byte; 81·c₄ is
// 0, 0b01010001 or 0b10100010; a table look-up beyond its table gives 0 (VTBL)
// or keeps what was there (VTBX).
#define DIGITS \
	VSUB  V17.B16, V20.B16, V21.B16;                            \
	VUMIN V21.B16, V20.B16, V21.B16;                            \
	VSUB  V17.B16, V21.B16, V19.B16;                            \
	VUMIN V19.B16, V21.B16, V21.B16;                            \
	VSUB  V21.B16, V20.B16, V23.B16;                            \
	VUSHR $6, V23.B16, V23.B16;                                 \
	VTBL  V21.B16, [V25.B16, V26.B16, V27.B16, V28.B16], V22.B16; \
	VSUB  V18.B16, V21.B16, V21.B16;                            \
	VTBX  V21.B16, [V29.B16, V30.B16], V22.B16

#define LOADDIGITS \
	MOVD $·ternaryDigitsNEON(SB), R9;                    \
	VLD1.P 64(R9), [V25.B16, V26.B16, V27.B16, V28.B16]; \
	VLD1 (R9), [V29.B16, V30.B16];                        \
	VMOVI $81, V17.B16;                                   \
	VMOVI $64, V18.B16

// Sums of products in 16-bit lanes, without dot products: V0–V7 to zero, and the codes
// in vector number n times the activations in vector number m added to two of them.
#define ZEROWORDS \
	ZERO4(V0.B16, V1.B16, V2.B16, V3.B16); \
	ZERO4(V4.B16, V5.B16, V6.B16, V7.B16)
#define PRODUCTS(lo, hi, n, m) SMLAL(lo, n, m); SMLAL2(hi, n, m)
