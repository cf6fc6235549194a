// Instructions that Go's assembler does not know, by the numbers of their
// vector registers: destination, first operand, second operand.

// SDOT Vd.4S, Vn.16B, Vm.4B[i]
#define SDOT(d, n, m, i) WORD $(0x4F80E000 | ((i & 1) << 21) | ((i >> 1) << 11) | (m << 16) | (n << 5) | d)

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

// FADD, FMUL, FDIV Vd.4S, Vn.4S, Vm.4S; FMUL Vd.4S, Vn.4S, Vm.S[i]
#define FADD(d, n, m) WORD $(0x4E20D400 | (m << 16) | (n << 5) | d)
#define FMUL(d, n, m) WORD $(0x6E20DC00 | (m << 16) | (n << 5) | d)
#define FDIV(d, n, m) WORD $(0x6E20FC00 | (m << 16) | (n << 5) | d)
#define FMULE(d, n, m, i) WORD $(0x4F809000 | ((i & 1) << 21) | ((i >> 1) << 11) | (m << 16) | (n << 5) | d)
