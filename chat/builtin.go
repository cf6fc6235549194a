package chat

import (
	"embed"
	"fmt"
	"strings"
	"sync"
)

//go:embed templates/*.jinja
var templateFiles embed.FS

// builtinNames lists the files of templates/, in the order that help texts show them.
var builtinNames = []string{
	"bitnet",       // BitNet-b1.58-2B-4T as documented: "User: …<|eot_id|>Assistant: "
	"bitnet-human", // what the official 2B-4T GGUF carries: "Human: … BITNETAssistant: "
	"demo",         // the embedded demo model: "bitnet" without the space after "Assistant:"
	"llama3",       // Llama-3 header tokens
	"llama3.1",     // Llama-3.1 and 3.2, with date and tools
	"llama2",       // [INST] with <<SYS>>
	"mistral",      // [INST] with tools
	"chatml",       // <|im_start|>role
	"qwen2.5",      // ChatML with a default system prompt and tools
	"falcon3",      // <|role|> lines: Falcon-3, Falcon-E
	"plain",        // "Role: text" paragraphs, for models without a chat format
}

// builtins parses the embedded templates once. They are part of the program, so
// one that does not parse is a bug that the tests catch.
var builtins = sync.OnceValue(func() map[string]*Template {
	m := make(map[string]*Template, len(builtinNames))
	for _, name := range builtinNames {
		src, err := templateFiles.ReadFile("templates/" + name + ".jinja")
		if err != nil {
			panic(fmt.Sprintf("chat: built-in template %s: %v", name, err))
		}
		t, err := Parse(string(src))
		if err != nil {
			panic(fmt.Sprintf("chat: built-in template %s: %v", name, err))
		}
		m[name] = t
	}
	return m
})

// BuiltinNames lists the built-in templates.
func BuiltinNames() []string { return append([]string(nil), builtinNames...) }

// Builtin returns a built-in template by name. Lower and upper case are the same.
func Builtin(name string) (*Template, bool) {
	t, ok := builtins()[strings.ToLower(name)]
	return t, ok
}
