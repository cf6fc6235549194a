package chat_test

import (
	"fmt"

	"trit/chat"
)

func ExampleTemplate_Render() {
	tpl, err := chat.Parse(`{% for m in messages %}{{ m.role | capitalize }}: {{ m.content | trim }}<|eot_id|>{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}`)
	if err != nil {
		panic(err)
	}
	prompt, err := tpl.Render(chat.Input{
		Messages:            []chat.Message{{Role: "user", Content: "What is the capital of France?"}},
		AddGenerationPrompt: true,
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(prompt)
	// Output: User: What is the capital of France?<|eot_id|>Assistant:
}

func ExampleChoose() {
	tpl, why, err := chat.Choose(chat.Meta{
		Architecture: "llama",
		VocabSize:    128256,
		BOS:          "<|begin_of_text|>",
		EOS:          "<|end_of_text|>",
	})
	if err != nil {
		panic(err)
	}
	fmt.Println(why)
	fmt.Println(tpl.EndOfTurn("<|begin_of_text|>", "<|end_of_text|>"))
	// Output:
	// built-in template "llama3": the file has no template; its vocabulary is Llama-3's
	// <|eot_id|>
}

func ExampleToolParser() {
	p := chat.NewToolParser(chat.ToolSyntax{Format: chat.ToolsHermes})
	for _, piece := range []string{"One moment.\n<tool", "_call>\n{\"name\": \"weather\", \"argu", "ments\": {\"city\": \"Paris\"}}\n</tool_call>"} {
		content, calls := p.Write(piece)
		fmt.Printf("%q", content)
		for _, c := range calls {
			fmt.Printf(" %s(%s)", c.Function.Name, c.Function.Arguments)
		}
		fmt.Println()
	}
	content, _ := p.Close()
	fmt.Printf("%q\n", content)
	// Output:
	// "One moment."
	// ""
	// "" weather({"city": "Paris"})
	// ""
}

func ExampleFit() {
	messages := []chat.Message{
		{Role: "system", Content: "Be brief."},
		{Role: "user", Content: "Tell me about bees."},
		{Role: "assistant", Content: "They make honey."},
		{Role: "user", Content: "And wasps?"},
	}
	words := func(m []chat.Message) (int, error) {
		n := 0
		for i := range m {
			n += len(m[i].Content)
		}
		return n, nil
	}
	kept, dropped, err := chat.Fit(messages, words, 30)
	if err != nil {
		panic(err)
	}
	for _, m := range kept {
		fmt.Println(m.Role+":", m.Content)
	}
	fmt.Println("dropped", dropped)
	// Output:
	// system: Be brief.
	// user: And wasps?
	// dropped 2
}

func ExampleTrimmer() {
	var t chat.Trimmer
	for _, piece := range []string{" ", "\n The", " capital", " is", " Paris."} {
		fmt.Print(t.Write(piece))
	}
	fmt.Println()
	// Output: The capital is Paris.
}
