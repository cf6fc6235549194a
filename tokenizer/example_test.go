package tokenizer_test

import (
	"fmt"
	"log"

	"trit/tokenizer"
)

func Example() {
	tok, err := tokenizer.FromHF("testdata/demo")
	if err != nil {
		log.Fatal(err)
	}
	ids := tok.Encode("User: Who are you?<|eot_id|>Assistant:", tokenizer.ParseSpecial(true))
	fmt.Println(ids)
	fmt.Println(tok.Decode(ids, tokenizer.RenderSpecial(true)))
	// Output:
	// [2045 329 25 1282 405 341 30 2047 330 25]
	// <|begin_of_text|>User: Who are you?<|eot_id|>Assistant:
}

// The euro sign is three tokens here. A Stream gives it out whole.
func ExampleStream() {
	tok, err := tokenizer.FromHF("testdata/demo")
	if err != nil {
		log.Fatal(err)
	}
	s := tok.NewStream()
	for _, id := range tok.Encode("5 €", tokenizer.AddSpecial(false)) {
		fmt.Printf("%q ", s.Push(id))
	}
	fmt.Printf("%q\n", s.Flush())
	// Output: "5" " " "" "" "€" ""
}
