package grammar_test

import (
	"fmt"

	"trit/grammar"
)

// letters is a vocabulary with a token for each byte, and one that ends the text. A
// *tokenizer.Tokenizer is one as it is.
type letters struct{}

func (letters) Len() int                   { return 257 }
func (letters) TokenBytes(id int32) []byte { return []byte{byte(id)}[:min(1, 256-id)] }
func (letters) IsEOG(id int32) bool        { return id == 256 }

func Example() {
	g, err := grammar.FromJSONSchema([]byte(`{
		"type": "object",
		"properties": {"size": {"enum": ["small", "large"]}, "count": {"type": "integer", "minimum": 1, "maximum": 12}},
		"required": ["size", "count"]
	}`), grammar.SchemaOptions{Whitespace: grammar.WhitespaceCompact})
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := grammar.NewVocabulary(letters{})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := grammar.NewMatcher(g, v)
	if err != nil {
		fmt.Println(err)
		return
	}

	// Where a sampler would choose by logits, this one takes the last token that is allowed.
	s := m.Start()
	mask := make([]uint64, v.MaskWords())
	var text []byte
	for !s.Done() {
		if err := s.Mask(mask); err != nil {
			fmt.Println(err)
			return
		}
		id := int32(-1)
		for i := range int32(v.Len()) {
			if mask[i/64]>>(i%64)&1 != 0 && !v.IsEOG(i) {
				id = i
			}
		}
		if err := s.Accept(id); err != nil {
			fmt.Println(err)
			return
		}
		text = append(text, byte(id))
	}
	fmt.Printf("%s\n", text)

	// Output:
	// {"size":"small","count":9}
}

func ExampleState_MaskWithin() {
	g, err := grammar.ParseGBNF(`root ::= "(" root ")" | [a-z]+`)
	if err != nil {
		fmt.Println(err)
		return
	}
	v, err := grammar.NewVocabulary(letters{})
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := grammar.NewMatcher(g, v)
	if err != nil {
		fmt.Println(err)
		return
	}
	s := m.Start()
	if err := s.AcceptBytes([]byte("((")); err != nil {
		fmt.Println(err)
		return
	}
	mask := make([]uint64, v.MaskWords())
	for _, left := range []int{5, 3, 2} {
		fits, err := s.MaskWithin(mask, left)
		fmt.Printf("%d tokens left: fits %v, another ( %v, %v\n", left, fits, mask['('/64]>>('('%64)&1 != 0, err)
	}

	// Output:
	// 5 tokens left: fits true, another ( true, <nil>
	// 3 tokens left: fits true, another ( false, <nil>
	// 2 tokens left: fits false, another ( true, <nil>
}
