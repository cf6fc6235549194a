package model

import "testing"

func TestGenericName(t *testing.T) {
	for name, want := range map[string]string{
		"blk.0.attn_q.weight":   "blk.%d.attn_q.weight",
		"blk.123.ffn_up.weight": "blk.%d.ffn_up.weight",
		"token_embd.weight":     "token_embd.weight",
		"output.weight":         "output.weight",
		"blk.x.attn_q.weight":   "blk.x.attn_q.weight",
		"blk.-1.attn_q.weight":  "blk.-1.attn_q.weight",
		"blk..attn_q.weight":    "blk..attn_q.weight",
		"blk.3":                 "blk.3",
		"blk.":                  "blk.",
		"":                      "",
	} {
		if got := GenericName(name); got != want {
			t.Errorf("GenericName(%q) = %q, want %q", name, got, want)
		}
	}
}
