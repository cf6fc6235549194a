// Package chat turns a conversation into a prompt and a model's answer back into messages.
//
// A model file carries a Jinja template that says how its training laid out conversations.
// [Parse] reads such a template and [Template.Render] renders it as Hugging Face's transformers
// would, byte for byte: a single space too many in the prompt costs a model its knowledge.
//
//	tpl, why, err := chat.Choose(chat.Meta{Architecture: arch, Template: embedded, BOS: bos, EOS: eos})
//	prompt, err := tpl.Render(chat.Input{
//		Messages:            []chat.Message{{Role: "user", Content: "Hello!"}},
//		AddGenerationPrompt: true,
//		BOS:                 bos, EOS: eos,
//	})
//
// The prompt contains its special tokens as text, including the beginning-of-sequence token where
// the template writes one: tokenize it with special tokens recognised and none added.
//
// [Choose] decides which template a model should use and says why. [Fit] drops the oldest turns of
// a conversation that outgrew the context. [Trimmer] removes the white space that answers start
// with, and [ToolParser] finds tool calls in an answer while it is still being generated.
//
// Templates come with model files and are not trusted: rendering is bounded in time, memory and
// output (see [Limits]), and every failure is an error that names the template's line.
package chat
