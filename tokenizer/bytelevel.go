package tokenizer

import "unicode/utf8"

// Byte-level BPE writes each byte as one printable code point: bytes that are
// printable in Latin-1 stand for themselves, the other 68 are U+0100, U+0101, …
// in increasing order (GPT-2's encoder.py, bytes_to_unicode).
var (
	byteToRune [256]rune
	runeToByte [0x144]int16 // −1: not in the table
)

func init() {
	for i := range runeToByte {
		runeToByte[i] = -1
	}
	next := rune(0x100)
	for b := range rune(256) {
		r := b
		if !(b >= 0x21 && b <= 0x7E || b >= 0xA1 && b <= 0xAC || b >= 0xAE) {
			r = next
			next++
		}
		byteToRune[b] = r
		runeToByte[r] = int16(b)
	}
}

// appendUnmapped appends the bytes that the byte-level text s stands for. A
// code point outside the table is appended as it is, and exact is false.
func appendUnmapped(dst []byte, s string) (out []byte, exact bool) {
	exact = true
	for i := 0; i < len(s); {
		if c := s[i]; c >= 0x21 && c <= 0x7E {
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r < rune(len(runeToByte)) && runeToByte[r] >= 0 {
			dst = append(dst, byte(runeToByte[r]))
		} else {
			dst = append(dst, s[i:i+n]...)
			exact = false
		}
		i += n
	}
	return dst, exact
}

// appendMapped appends the byte-level spelling of b.
func appendMapped(dst []byte, b []byte) []byte {
	for _, c := range b {
		dst = utf8.AppendRune(dst, byteToRune[c])
	}
	return dst
}
