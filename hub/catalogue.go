package hub

import (
	"fmt"
	"strings"
)

// Form is the way in which a repository keeps a model's ternary weights.
type Form string

// The forms.
const (
	FormGGUF     Form = "gguf"     // ready to run
	FormPacked   Form = "packed"   // safetensors, four weights in a byte
	FormMaster   Form = "master"   // safetensors, weights that are rounded when the model runs
	FormUnpacked Form = "unpacked" // safetensors, ternary weights written out as floats
)

// Entry is a model that is known to exist. Fields whose value is not known for
// certain are zero; [Pull] and [Describe] find out.
type Entry struct {
	Name         string `json:"name"`             // what to call it in Pull
	Repository   string `json:"repository"`       // owner/repo on the hub
	File         string `json:"file,omitempty"`   // in the repository; "" means that Pull chooses
	SHA256       string `json:"sha256,omitempty"` // of File
	Size         int64  `json:"size,omitempty"`   // bytes of File, rounded
	Form         Form   `json:"form"`
	Architecture string `json:"architecture"`      // general.architecture of the GGUF file
	Parameters   int64  `json:"parameters"`        // rounded
	Context      int    `json:"context,omitempty"` // tokens
	Tokenizer    string `json:"tokenizer"`         // family of the tokenizer
	Chat         string `json:"chat,omitempty"`    // built-in template of package chat; "" for models that do not chat
	License      string `json:"license,omitempty"` // as the hub names it
	Description  string `json:"description"`
	Embedding    bool   `json:"embedding,omitempty"` // makes embeddings instead of text
}

// Catalogue returns the ternary models that are known to exist, by family and
// then by size.
func Catalogue() []Entry {
	entries := []Entry{
		{
			Name: "bitnet-2b-4t", Repository: "microsoft/bitnet-b1.58-2B-4T-gguf", File: "ggml-model-i2_s.gguf",
			SHA256: "4221b252fdd5fd25e15847adfeb5ee88886506ba50b8a34548374492884c2162", Size: 1_190_000_000,
			Form: FormGGUF, Architecture: "bitnet-b1.58", Parameters: 2_400_000_000, Context: 4096,
			Tokenizer: "llama-3", Chat: "bitnet", License: "mit", Description: "BitNet b1.58 2B4T by Microsoft, chat, ready to run",
		},
		{
			Name: "bitnet-2b-4t-packed", Repository: "microsoft/bitnet-b1.58-2B-4T",
			Form: FormPacked, Architecture: "bitnet-b1.58", Parameters: 2_400_000_000, Context: 4096,
			Tokenizer: "llama-3", Chat: "bitnet", License: "mit", Description: "BitNet b1.58 2B4T by Microsoft, chat, packed checkpoint",
		},
		{
			Name: "bitnet-2b-4t-bf16", Repository: "microsoft/bitnet-b1.58-2B-4T-bf16",
			Form: FormMaster, Architecture: "bitnet-b1.58", Parameters: 2_400_000_000, Context: 4096,
			Tokenizer: "llama-3", Chat: "bitnet", License: "mit", Description: "BitNet b1.58 2B4T by Microsoft, chat, master weights",
		},
		{
			Name: "bitnet-large", Repository: "1bitLLM/bitnet_b1_58-large",
			Form: FormMaster, Architecture: "bitnet", Parameters: 700_000_000, Context: 2048,
			Tokenizer: "llama-2", License: "mit", Description: "BitNet b1.58 0.7B, the reproduction by 1bitLLM, base",
		},
		{
			Name: "bitnet-3b", Repository: "1bitLLM/bitnet_b1_58-3B",
			Form: FormMaster, Architecture: "bitnet", Parameters: 3_300_000_000, Context: 2048,
			Tokenizer: "llama-2", License: "mit", Description: "BitNet b1.58 3B, the reproduction by 1bitLLM, base",
		},
		{
			Name: "llama3-8b-1.58", Repository: "HF1BitLLM/Llama3-8B-1.58-100B-tokens",
			Form: FormPacked, Architecture: "llama", Parameters: 8_000_000_000, Context: 8192,
			// Its repository names no licence; that of its base model holds.
			Tokenizer: "llama-3", Chat: "llama3", License: "llama3", Description: "Llama 3 8B Instruct, fine-tuned to ternary weights by Hugging Face",
		},
	}
	for _, m := range []struct {
		suffix, repository string
		billions           int64
		chat               string
		context            int
	}{
		{"1b-instruct", "Falcon3-1B-Instruct-1.58bit", 1, "falcon3", 8192},
		{"3b", "Falcon3-3B-1.58bit", 3, "", 8192},
		{"3b-instruct", "Falcon3-3B-Instruct-1.58bit", 3, "falcon3", 32768},
		{"7b", "Falcon3-7B-1.58bit", 7, "", 32768},
		{"7b-instruct", "Falcon3-7B-Instruct-1.58bit", 7, "falcon3", 32768},
		{"10b", "Falcon3-10B-1.58bit", 10, "", 32768},
		{"10b-instruct", "Falcon3-10B-Instruct-1.58bit", 10, "falcon3", 32768},
	} {
		entries = append(entries, Entry{
			Name: "falcon3-" + m.suffix, Repository: "tiiuae/" + m.repository,
			Form: FormPacked, Architecture: "llama", Parameters: m.billions * 1_000_000_000, Context: m.context,
			Tokenizer: "falcon-3", Chat: m.chat, License: "falcon-llm-license",
			Description: fmt.Sprintf("Falcon3 %dB by TII, %s, packed checkpoint", m.billions, kind(m.chat)),
		})
	}
	for _, m := range []struct {
		suffix, repository string
		billions           int64
		chat, file         string
		size               int64
	}{
		{"1b", "Falcon-E-1B-Base", 1, "", "", 0},
		{"1b-instruct", "Falcon-E-1B-Instruct-GGUF", 1, "falcon3", "ggml-model-i2_s.gguf", 666_000_000},
		{"3b", "Falcon-E-3B-Base", 3, "", "", 0},
		{"3b-instruct", "Falcon-E-3B-Instruct-GGUF", 3, "falcon3", "ggml-model-i2_s.gguf", 1_000_000_000},
	} {
		e := Entry{
			Name: "falcon-e-" + m.suffix, Repository: "tiiuae/" + m.repository, File: m.file, Size: m.size,
			Form: FormPacked, Architecture: "llama", Parameters: m.billions * 1_000_000_000,
			Tokenizer: "falcon-e", Chat: m.chat, License: "falcon-llm-license",
			Description: fmt.Sprintf("Falcon-E %dB by TII, %s", m.billions, kind(m.chat)),
		}
		if m.file != "" {
			e.Form = FormGGUF
			e.Description += ", ready to run"
		} else {
			e.Description += ", packed checkpoint"
		}
		entries = append(entries, e)
	}
	for _, m := range []struct {
		size       string
		parameters int64
	}{
		{"99M", 99_740_000}, {"190M", 190_000_000}, {"390M", 392_400_000}, {"560M", 569_200_000}, {"830M", 834_000_000},
		{"1.1B", 1_149_000_000}, {"1.5B", 1_515_000_000}, {"2.4B", 2_461_000_000}, {"3.9B", 3_989_000_000},
	} {
		entries = append(entries, Entry{
			Name: "trilm-" + strings.ToLower(m.size), Repository: "SpectraSuite/TriLM_" + m.size + "_Unpacked",
			Form: FormUnpacked, Architecture: "llama", Parameters: m.parameters, Context: 2048,
			Tokenizer: "gpt-neox", License: "apache-2.0", Description: "TriLM " + m.size + " of the Spectra suite, base, float activations",
		})
	}
	for _, m := range []struct {
		size, architecture string
		parameters         int64
	}{{"1B", "llama", 1_000_000_000}, {"3B", "llama", 3_000_000_000}, {"8B", "minicpm", 8_000_000_000}} {
		small := strings.ToLower(m.size)
		entries = append(entries, Entry{
			Name: "bitcpm-" + small, Repository: "openbmb/BitCPM-CANN-" + m.size + "-gguf", File: "bitcpm4-" + small + "-tq2_0.gguf",
			Form: FormGGUF, Architecture: m.architecture, Parameters: m.parameters, Context: 32768,
			Tokenizer: "minicpm", Chat: "chatml", License: "apache-2.0", Description: "BitCPM4 " + m.size + " by OpenBMB, chat, ready to run",
		})
	}
	return append(entries,
		Entry{
			Name: "bitnet-embeddings-0.6b", Repository: "microsoft/bitnet-embedding-0.6b", File: "bitnet-embeddings-0.6b-bf16-i2_s.gguf",
			SHA256: "c89c64f05a2d3f83565250a6762640197fc624df866d4a1bd5853f811219af17", Size: 428_000_000,
			Form: FormGGUF, Architecture: "qwen3", Parameters: 600_000_000, Context: 32768,
			Tokenizer: "qwen-2", Description: "text embeddings of 1024 numbers by Microsoft", Embedding: true,
		},
		Entry{
			Name: "bitnet-embeddings-270m", Repository: "microsoft/bitnet-embedding-270m", File: "bitnet-embeddings-270m-bf16-i2_s.gguf",
			SHA256: "8ee5ae971b103cd55758934be54e5c9f7cc2b58b15890615acce8e649988c751", Size: 367_000_000,
			Form: FormGGUF, Architecture: "gemma3", Parameters: 270_000_000, Context: 32768,
			Tokenizer: "gemma", Description: "text embeddings of 640 numbers by Microsoft", Embedding: true,
		})
}

// kind says what a model with the given chat template is for.
func kind(chat string) string {
	if chat == "" {
		return "base"
	}
	return "chat"
}

// Lookup finds an entry of the catalogue by its name. Lower and upper case are
// the same.
func Lookup(name string) (Entry, bool) {
	for _, e := range Catalogue() {
		if strings.EqualFold(e.Name, name) {
			return e, true
		}
	}
	return Entry{}, false
}
