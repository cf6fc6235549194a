package servertest

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"trit/gguf"
	"trit/internal/model/synth"
	"trit/tokenizer"
)

// Dialect is a chat format as a model has it: a template, and the tokens of the
// vocabulary that are marks and no text.
type Dialect struct {
	Name     string
	template string   // in the folder chat
	control  []string // beside <|begin_of_text|> and <|end_of_text|>
}

// Dialects are the built-in templates and some of the tests of package chat. Those
// called "… marks" have control tokens for the marks of calls and of thinking, as
// published models do.
var Dialects = []Dialect{
	{"plain", "templates/plain", nil},
	{"bitnet", "templates/bitnet", []string{"<|eot_id|>"}},
	{"demo", "templates/demo", []string{"<|eot_id|>"}},
	{"chatml", "templates/chatml", []string{"<|im_start|>", "<|im_end|>"}},
	{"falcon3", "templates/falcon3", []string{"<|assistant|>", "<|user|>", "<|system|>"}},
	{"llama2", "templates/llama2", nil},
	{"llama3", "templates/llama3", llama3},
	{"llama3.1", "templates/llama3.1", llama3},
	{"llama3.1 marks", "templates/llama3.1", append(llama3, "<|python_tag|>", "<|eom_id|>")},
	{"qwen2.5", "templates/qwen2.5", []string{"<|im_start|>", "<|im_end|>"}},
	{"hermes marks", "templates/qwen2.5", []string{"<|im_start|>", "<|im_end|>", "<tool_call>", "</tool_call>"}},
	{"mistral", "templates/mistral", []string{"[INST]", "[/INST]"}},
	{"mistral marks", "templates/mistral", []string{"[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]",
		"[TOOL_CALLS]", "[TOOL_RESULTS]", "[/TOOL_RESULTS]"}},
	{"gemma", "testdata/templates/gemma", []string{"<start_of_turn>", "<end_of_turn>"}},
	{"thinking", "testdata/templates/thinking", []string{"<|im_start|>", "<|im_end|>"}},
	{"thinking marks", "testdata/templates/thinking", []string{"<|im_start|>", "<|im_end|>", "<think>", "</think>",
		"<tool_call>", "</tool_call>"}},
}

// Thinking writes a model whose template begins every answer with reasoning.
func Thinking(t testing.TB) string {
	d := Dialect{"opening", "testdata/templates/opening", []string{"<|im_start|>", "<|im_end|>"}}
	return d.Write(t)
}

var llama3 = []string{"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}

// tiny is the geometry of the models, whose weights nobody asks for.
var tiny = synth.Shape{
	Name: "tiny", Model: "nothing", Architecture: "bitnet-b1.58", Layers: 1, Hidden: 256, FFN: 256, Heads: 4,
	KVHeads: 2, HeadDim: 64, Vocab: 512, Context: 4096, RopeBase: 10000, NormEps: 1e-5, Tied: true,
	Tokenizer: tokenizer.ModelBPE, Pre: "llama-bpe",
}

var tinyFile = sync.OnceValues(func() ([]byte, error) {
	g, err := synth.New(tiny, synth.Options{})
	if err != nil {
		return nil, err
	}
	return g.Bytes(context.Background())
})

// Write makes a model of the dialect and returns its path. Its tokens are bytes,
// and the marks.
func (d *Dialect) Write(t testing.TB) string {
	t.Helper()
	template, err := os.ReadFile(filepath.Join("..", "..", "chat", filepath.FromSlash(d.template)+".jinja"))
	if err != nil {
		t.Fatal(err)
	}
	data, err := tinyFile()
	if err != nil {
		t.Fatal(err)
	}
	f, err := gguf.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	meta := f.Metadata.Clone()
	tokens, err := meta.Strings("tokenizer.ggml.tokens")
	if err != nil {
		t.Fatal(err)
	}
	types, err := meta.Int32s("tokenizer.ggml.token_type")
	if err != nil {
		t.Fatal(err)
	}
	const unused = 256 + 2 // bytes, beginning and end
	for i, mark := range d.control {
		tokens[unused+i], types[unused+i] = mark, int32(tokenizer.Control)
	}
	for key, value := range map[string]any{
		"tokenizer.ggml.tokens": tokens, "tokenizer.ggml.token_type": types,
		"tokenizer.chat_template": string(template),
	} {
		if err := meta.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	var specs []gguf.TensorSpec
	for _, tensor := range f.Tensors {
		specs = append(specs, tensor.Spec())
	}
	path := filepath.Join(t.TempDir(), "tiny.gguf")
	if err := gguf.WriteFile(path, meta, specs); err != nil {
		t.Fatal(err)
	}
	return path
}
