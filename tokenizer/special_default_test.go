package tokenizer

import (
	"fmt"
	"slices"
	"testing"

	"trit/gguf"
)

// TestSpecialDefaults: the number that a family's special token has by default stands
// for an ordinary token in other vocabularies, which never begins or ends a text.
func TestSpecialDefaults(t *testing.T) {
	for _, test := range []struct {
		name  string
		token Token
		want  bool
	}{
		{"ordinary", Token{Text: ",", Type: Normal}, false},
		{"marked", Token{Text: "<|endoftext|>", Type: Normal}, true},
		{"control", Token{Text: "end", Type: Control}, true},
	} {
		spec, err := NewSpec(ModelBPE, "gpt-2")
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			spec.Tokens = append(spec.Tokens, Token{Text: fmt.Sprintf("t%d", i), Type: Normal})
		}
		spec.Tokens[11], spec.Tokens[15] = test.token, Token{Text: "stop", Type: Control}
		spec.Special, spec.EndTokens = nil, []int32{15}
		tok, err := New(spec)
		if err != nil {
			t.Fatal(err)
		}
		var m gguf.Metadata
		if err := tok.AppendMetadata(&m, 0); err != nil {
			t.Fatal(err)
		}
		if err := m.Set(keyEndTokens, []int32{15}); err != nil {
			t.Fatal(err)
		}
		if m.Has(RoleEOS.Key()) {
			t.Fatal("the file names an EOS token")
		}
		if tok, err = FromGGUF(&m); err != nil {
			t.Fatal(err)
		}
		id, ok := tok.EOS()
		if ok != test.want || ok && id != 11 || !tok.IsEOG(15) || slices.Contains(tok.EOG(), 11) != test.want {
			t.Errorf("%s: EOS %d %v, end tokens %v", test.name, id, ok, tok.EOG())
		}
	}
}
