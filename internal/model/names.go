package model

import "strings"

// GenericName replaces the layer number of a tensor's name by %d, which makes it
// the name of a [TensorSpec]: blk.3.attn_q.weight becomes blk.%d.attn_q.weight.
// A name without a layer number stays as it is.
func GenericName(name string) string {
	rest, ok := strings.CutPrefix(name, "blk.")
	if !ok {
		return name
	}
	number, rest, ok := strings.Cut(rest, ".")
	if !ok || number == "" || strings.Trim(number, "0123456789") != "" {
		return name
	}
	return "blk.%d." + rest
}
