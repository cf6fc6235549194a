package convert

import (
	"fmt"
	"slices"
	"strings"

	"trit/chat"
	"trit/gguf"
	"trit/internal/model"
	"trit/tokenizer"
)

// The codes of findings beyond those of package gguf.
const (
	FindingPre       = "missing-pre"        // tokenizer.ggml.pre is missing
	FindingTokenizer = "tokenizer"          // the vocabulary contradicts itself or is odd
	FindingTemplate  = "chat-template"      // the chat template is wrong or does not parse
	FindingHiddenAct = "missing-hidden-act" // other readers would take another activation function
	FindingFileType  = "file-type"          // general.file_type contradicts the tensors
	FindingAlignment = "huge-alignment"     // tensors are aligned to more than anybody needs
	FindingModel     = "configuration"      // the hyper-parameters cannot be read
	FindingFloat     = "activations"        // what projections round their input to
	FindingLayout    = "i2s-layout"         // I2_S tensors in a layout that readers do not expect
)

// Finding is something about a file that is not as it should be.
type Finding struct {
	Code    string `json:"code"`
	Message string `json:"message"`
	Tensor  string `json:"tensor,omitempty"`
	// Repairable findings are what [Repair] changes. The others need a decision
	// or another file.
	Repairable bool `json:"repairable"`
	// Remedy says what Repair does, or what a person can do.
	Remedy string `json:"remedy,omitempty"`
}

// String returns "code: message (remedy)".
func (f Finding) String() string {
	s := f.Code + ": " + f.Message
	if f.Remedy != "" {
		s += " (" + f.Remedy + ")"
	}
	return s
}

// Findings lists what is wrong with a file: its structure, as [gguf.File.Problems]
// has it, and what its metadata say. Everything that [Repair] would change without
// being told to is among them. It looks at metadata and the list of tensors only,
// and takes any file that gguf opens.
func Findings(f *gguf.File) []Finding {
	fixes := diagnose(f)
	list := make([]Finding, len(fixes))
	for i, x := range fixes {
		list[i] = x.Finding
	}
	return list
}

// fix is a finding and how it is repaired.
type fix struct {
	Finding
	// apply changes the metadata; nil where writing the file anew is all.
	apply func(*metaWriter)
}

// diagnose finds what is wrong.
func diagnose(f *gguf.File) []fix {
	var fixes []fix
	for _, p := range f.Problems() {
		x := fix{Finding: Finding{Code: string(p.Code), Message: p.Message, Tensor: p.Tensor, Repairable: p.Repairable}}
		if p.Repairable {
			x.Remedy = "the file is written anew"
		} else {
			x.Remedy = "nothing tells what it should be"
		}
		fixes = append(fixes, x)
	}
	if f.Alignment > maxAlignment {
		fixes = append(fixes, fix{Finding: Finding{
			Code: FindingAlignment, Message: fmt.Sprintf("general.alignment is %d bytes, more than %d", f.Alignment, maxAlignment),
			Repairable: true, Remedy: "it becomes 32",
		}})
	}
	fixes = append(fixes, diagnoseModel(f)...)
	return append(fixes, diagnoseTokenizer(f)...)
}

// diagnoseModel looks at the hyper-parameters.
func diagnoseModel(f *gguf.File) []fix {
	name, err := f.Metadata.String("general.architecture")
	if err != nil {
		return nil // a structural problem already
	}
	family, err := model.LookupArch(name)
	if err != nil {
		return nil // another program's model
	}
	config, err := model.Configure(family, f.Metadata, model.LoadOptions{})
	if err != nil {
		return []fix{{Finding: Finding{Code: FindingModel, Message: err.Error(), Remedy: "convert the model again"}}}
	}
	var fixes []fix
	if key := name + ".hidden_act"; !f.Metadata.Has(key) && config.HiddenAct != impliedAct(name) {
		fixes = append(fixes, fix{
			Finding: Finding{
				Code: FindingHiddenAct, Repairable: true, Remedy: fmt.Sprintf("%s = %q is added", key, config.HiddenAct),
				Message: fmt.Sprintf("readers take %s from the architecture %s, but this model's shape says %s", impliedAct(name), name, config.HiddenAct),
			},
			apply: func(w *metaWriter) { w.set(key, config.HiddenAct.String()) },
		})
	}
	return append(fixes, diagnoseFileType(f, family.Table(config))...)
}

// impliedAct is the activation function that the name of an architecture implies.
func impliedAct(arch string) model.HiddenAct {
	switch arch {
	case "bitnet-b1.58", "bitnet-25":
		return model.ReLU2
	case gemma3:
		return model.GELUTanh
	}
	return model.SiLU
}

// diagnoseFileType compares general.file_type with the projections.
func diagnoseFileType(f *gguf.File, table *model.TensorTable) []fix {
	got, err := f.Metadata.Uint32("general.file_type")
	if err != nil {
		return nil // it is optional, and a hint only
	}
	typ, found, contested := gguf.Type(0), false, false
	for _, t := range f.Tensors {
		contested = contested || t.Type == gguf.TypeI2S || t.Type == gguf.TypeTL1 || t.Type == gguf.TypeTL2
		if spec, _ := table.Lookup(t.Name); spec.Role != model.RoleProjection {
			continue
		}
		if found && t.Type != typ {
			return nil // a mixture may be called anything
		}
		typ, found = t.Type, true
	}
	want, known := typ.FileType()
	if !found || !known || got == want || contested && typ != gguf.TypeI2S || slices.Contains(groupTypes, typ) {
		return nil // with another number the contested types could not be told, and writers differ about the new ones
	}
	return []fix{{
		Finding: Finding{
			Code: FindingFileType, Repairable: true, Remedy: fmt.Sprintf("it becomes %d", want),
			Message: fmt.Sprintf("general.file_type is %d, but the projections are %v, which is %d", got, typ, want),
		},
		apply: func(w *metaWriter) { w.set("general.file_type", want) },
	}}
}

// preOf derives tokenizer.ggml.pre for a vocabulary that names none, or returns "".
func preOf(m *gguf.Metadata) (pre, reason string) {
	arch, _ := m.StringOr("general.architecture", "") // of another type: no reason
	if arch == "bitnet-b1.58" || arch == "bitnet-25" {
		return "llama-bpe", "BitNet b1.58 2B-4T and its relatives were trained with it"
	}
	tokens, err := m.Strings("tokenizer.ggml.tokens")
	if err == nil && len(tokens) >= 128_000 && len(tokens) < 129_000 && slices.Contains(tokens[128_000:], "<|begin_of_text|>") {
		return "llama-bpe", "the vocabulary is that of Llama 3"
	}
	return "", ""
}

// diagnoseTokenizer looks at the vocabulary and the chat template.
func diagnoseTokenizer(f *gguf.File) []fix {
	m := f.Metadata
	if !m.Has("tokenizer.ggml.model") {
		return nil
	}
	var fixes []fix
	kind, _ := m.StringOr("tokenizer.ggml.model", "") // FromGGUF reports another type
	var opts []tokenizer.Option
	if kind == tokenizer.ModelBPE && !m.Has("tokenizer.ggml.pre") {
		x := fix{Finding: Finding{Code: FindingPre, Message: "tokenizer.ggml.pre is missing: readers split text in different ways"}}
		if pre, reason := preOf(m); pre != "" {
			opts = append(opts, tokenizer.WithPre(pre))
			x.Repairable, x.Remedy = true, fmt.Sprintf("%q is added: %s", pre, reason)
			x.apply = func(w *metaWriter) { w.set("tokenizer.ggml.pre", pre) }
		} else {
			x.Remedy = "choose one of " + strings.Join(tokenizer.PreTokenizers(), ", ")
		}
		fixes = append(fixes, x)
	}
	tok, err := tokenizer.FromGGUF(m, opts...)
	if err != nil {
		return append(fixes, fix{Finding: Finding{Code: FindingTokenizer, Message: err.Error(), Remedy: "convert the model again"}})
	}
	for _, w := range tok.Warnings() {
		if strings.HasPrefix(w, "tokenizer.ggml.pre is missing") {
			continue // said already
		}
		fixes = append(fixes, fix{Finding: Finding{Code: FindingTokenizer, Message: w}})
	}
	return append(fixes, diagnoseTemplate(m, tok)...)
}

// diagnoseTemplate asks package chat what it thinks of the file's template.
func diagnoseTemplate(m *gguf.Metadata, tok *tokenizer.Tokenizer) []fix {
	const key = "tokenizer.chat_template"
	text, err := m.StringOr(key, "")
	if err != nil {
		return []fix{{Finding: Finding{Code: FindingTemplate, Message: err.Error(), Remedy: "choose a built-in template"}}}
	}
	if strings.TrimSpace(text) == "" {
		return nil // a model need not know any chat format
	}
	tpl, why, err := chat.Choose(chatMeta(m, tok, text))
	if err != nil {
		return []fix{{Finding: Finding{Code: FindingTemplate, Message: err.Error(), Remedy: "choose a built-in template"}}}
	}
	if tpl.Source() == text {
		return nil
	}
	return []fix{{
		Finding: Finding{Code: FindingTemplate, Message: why, Repairable: true, Remedy: key + " is replaced"},
		apply:   func(w *metaWriter) { w.set(key, tpl.Source()) },
	}}
}

// chatMeta is what package chat wants to know of a file.
func chatMeta(m *gguf.Metadata, tok *tokenizer.Tokenizer, template string) chat.Meta {
	arch, _ := m.StringOr("general.architecture", "") // of another type: unknown
	name, _ := m.StringOr("general.name", "")
	c := chat.Meta{
		Architecture: arch, Name: name, Template: template, VocabSize: tok.Len(),
		HasToken: func(text string) bool { _, ok := tok.ID(text); return ok },
	}
	if id, ok := tok.BOS(); ok {
		c.BOS = tok.Token(id).Text
	}
	if id, ok := tok.EOS(); ok {
		c.EOS = tok.Token(id).Text
	}
	return c
}
