package sample

import "math"

// A candidate's key packs an order-reversing image of its logit above its id,
// so that ascending keys are the candidates' order.
func makeKey(id int32, logit float32) uint64 {
	b := math.Float32bits(logit)
	b ^= uint32(int32(b)>>31) | 1<<31 // ascending with the logit
	return uint64(^b)<<32 | uint64(uint32(id))
}

func keyID(k uint64) int32 { return int32(uint32(k)) }

func keyLogit(k uint64) float32 {
	b := ^uint32(k >> 32)
	// b's top bit is set exactly for non-negative logits.
	return math.Float32frombits(b ^ (^uint32(int32(b)>>31) | 1<<31))
}
