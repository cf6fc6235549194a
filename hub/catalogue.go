package hub

import (
	"cmp"
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
	Memory       int64  `json:"memory,omitempty"`  // bytes, with a text of MemoryTokens, rounded
	Context      int    `json:"context,omitempty"` // tokens
	HiddenAct    string `json:"hidden_act"`        // activation function: relu2, silu or gelu
	Activations  string `json:"activations"`       // rounding of the inputs of projections: int8, int8g128 or float
	Tokenizer    string `json:"tokenizer"`         // family of the tokenizer
	Chat         string `json:"chat,omitempty"`    // built-in template of package chat; "" for models that do not chat
	License      string `json:"license,omitempty"` // as the hub names it
	Description  string `json:"description"`
	Embedding    bool   `json:"embedding,omitempty"` // makes embeddings instead of text
}

// MemoryTokens is the length of the text that the memory of an [Entry] is told for, or
// the whole context of models with less: weights, tables and intermediate results, and
// keys, values and states of F16.
const MemoryTokens = 4096

// Catalogue returns the ternary models that are known to exist, by family and
// then by size.
func Catalogue() []Entry {
	entries := append(bitnetEntries(), falconEntries()...)
	entries = append(append(entries, trilmEntries()...), bonsaiEntries()...)
	entries = append(append(entries, bitcpmEntries()...), otherEntries()...)
	for i := range entries {
		e := &entries[i]
		if e.Architecture == "bitnet-b1.58" {
			e.HiddenAct = "relu2"
		}
		e.HiddenAct = cmp.Or(e.HiddenAct, "silu")
		e.Activations = cmp.Or(e.Activations, "int8")
		e.Memory = memory[e.Name] * 1_000_000
	}
	return entries
}

// memory holds the megabytes of Entry.Memory, of those models whose shape is known.
var memory = map[string]int64{
	"bitnet-2b-4t":               1900,
	"bitnet-2b-4t-packed":        1900,
	"bitnet-2b-4t-bf16":          1900,
	"bitnet-large":               650,
	"bitnet-3b":                  1850,
	"llama3-8b-1.58":             5000,
	"falcon3-1b-instruct":        2000,
	"falcon3-3b":                 3050,
	"falcon3-3b-instruct":        3050,
	"falcon3-7b":                 4300,
	"falcon3-7b-instruct":        4300,
	"falcon3-10b":                5200,
	"falcon3-10b-instruct":       5200,
	"falcon-e-3b":                1250,
	"falcon-e-3b-instruct":       1250,
	"bonsai-1.7b":                770,
	"bonsai-4b":                  1250,
	"bonsai-8b":                  1850,
	"bonsai-27b":                 4500,
	"ternary-bonsai-1.7b":        1000,
	"ternary-bonsai-4b":          1800,
	"ternary-bonsai-8b":          2950,
	"ternary-bonsai-27b":         8200,
	"ternary-bonsai-2-9b":        2750,
	"ternary-bonsai-2-27b":       8100,
	"ternary-bonsai-2-27b-pq2_0": 8200,
	"bitcpm-8b":                  3150,
	"maple-20b":                  6400,
	"hy-mt2-1.8b":                1200,
	"hy-mt1.5-1.8b":              1200,
	"bitnet-embeddings-0.6b":     1100,
	"bitnet-embeddings-270m":     680,
}

// weightOnly is the rounding of models that were trained without any.
const weightOnly = "int8g128"

func bitnetEntries() []Entry {
	return []Entry{
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
}

func falconEntries() (entries []Entry) {
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
	return entries
}

func trilmEntries() (entries []Entry) {
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
			Activations: "float", Tokenizer: "gpt-neox", License: "apache-2.0", Description: "TriLM " + m.size + " of the Spectra suite, base, float activations",
		})
	}
	return entries
}

// bonsaiEntries are Prism's models. The 2-bit files of the first generation that are
// called Q2_0 hold the same weights as those in PQ2_0.
func bonsaiEntries() (entries []Entry) {
	for _, m := range []struct {
		name, typ, sha256 string
		parameters, size  int64
		context           int
	}{
		{"Bonsai-1.7B", "Q1_0", "", 1_720_000_000, 248_302_272, 32768},
		{"Bonsai-4B", "Q1_0", "4524b3f997f0f06444e568d1f26e2efd69effa3218c7ad3047432fb171e42168", 4_000_000_000, 572_270_624, 32768},
		{"Bonsai-8B", "Q1_0", "284a335aa3fb2ced3b1b01fcb40b08aa783e3b70832767f0dd2e3fdfa134bd54", 8_190_000_000, 1_158_654_496, 65536},
		{"Bonsai-27B", "Q1_0", "17ef842e47450caeb8eaa3ebfbbab5d2f2278b62b79be107985fb69a2f819aa0", 26_900_000_000, 3_803_452_480, 262144},
		{"Ternary-Bonsai-1.7B", "PQ2_0", "", 1_720_000_000, 463_290_464, 32768},
		{"Ternary-Bonsai-4B", "PQ2_0", "829abec7eb92f5bf464762be7c9e8a45d777c714543a1474fc90cee20e698beb", 4_000_000_000, 1_074_969_344, 32768},
		{"Ternary-Bonsai-8B", "PQ2_0", "1376f942aa90e60f7b570c1d81b3916fea1315ff85aa1c4d19006af68fb4b922", 8_190_000_000, 2_182_184_672, 65536},
		{"Ternary-Bonsai-27B", "PQ2_0", "e4781999f1997ef97ce0c58d05750835acc999d18d83ee6489ba7ac7b14cb5f6", 26_900_000_000, 7_165_121_600, 262144},
		{"Ternary-Bonsai-2-9B", "PTQ1_0", "", 9_000_000_000, 2_000_000_000, 262144},
		{"Ternary-Bonsai-2-27B", "PTQ1_0", "53107f530aa52eb00912263ab1ee29bd199261c87cd7b4ad4ca1318c1fe33ee3", 26_900_000_000, 5_946_648_928, 262144},
		{"Ternary-Bonsai-2-27B", "PQ2_0", "3907dc1658db1f78a9826bf8d5bcb8dc65db0d466388937af57f2294fae62ec1", 26_900_000_000, 7_206_168_928, 262144},
	} {
		e := Entry{
			Name: strings.ToLower(m.name), Repository: "prism-ml/" + m.name + "-gguf", File: m.name + "-" + m.typ + modelSuffix,
			SHA256: m.sha256, Size: m.size, Form: FormGGUF, Architecture: "qwen3", Parameters: m.parameters, Context: m.context,
			Activations: weightOnly, Tokenizer: "qwen-2", Chat: "chatml", License: "apache-2.0",
			Description: strings.ReplaceAll(m.name, "-", " ") + " by Prism, chat, " + m.typ + ", ready to run",
		}
		switch {
		case strings.Contains(m.name, "-2-9B"):
			e.License = "" // its page was not seen
			fallthrough
		case m.context == 262144:
			e.Architecture, e.Tokenizer = "qwen35", "qwen-3.5"
		}
		if len(entries) > 0 && entries[len(entries)-1].Name == e.Name {
			e.Name += "-" + strings.ToLower(m.typ)
		}
		entries = append(entries, e)
	}
	return entries
}

func bitcpmEntries() (entries []Entry) {
	for _, m := range []struct {
		size, architecture string
		parameters, bytes  int64
	}{
		{"0.5B", "minicpm", 600_000_000, 245_000_000},
		{"1B", "llama", 1_620_000_000, 551_000_000},
		{"3B", "llama", 3_350_000_000, 1_100_000_000},
		{"8B", "minicpm", 8_200_000_000, 2_370_000_000},
	} {
		small := strings.ToLower(m.size)
		entries = append(entries, Entry{
			Name: "bitcpm-" + small, Repository: "openbmb/BitCPM-CANN-" + m.size + "-gguf", File: "bitcpm4-" + small + "-tq2_0.gguf", Size: m.bytes,
			Form: FormGGUF, Architecture: m.architecture, Parameters: m.parameters, Context: 32768, Activations: weightOnly,
			Tokenizer: "minicpm", Chat: "chatml", License: "apache-2.0", Description: "BitCPM4 " + m.size + " by OpenBMB, chat, ready to run",
		})
	}
	return entries
}

func otherEntries() []Entry {
	return []Entry{
		{
			Name: "maple-20b", Repository: "deepgrove/maple-preview-GGUF", File: "maple-preview-TQ1_0-head-Q4_K.gguf", Size: 4_984_016_416,
			Form: FormGGUF, Architecture: "maple", Parameters: 20_000_000_000, Context: 128000, Activations: weightOnly,
			Tokenizer: "qwen-2", Chat: "chatml", License: "mit", Description: "Maple preview 20B-A1B by deepgrove, chat, ready to run",
		},
		{
			Name: "hy-mt2-1.8b", Repository: "tencent/Hy-MT2-1.8B-1.25Bit-GGUF", File: "Hy-MT2-1.8B-1.25Bit.gguf",
			SHA256: "cc497fe8f033b52b3b8b00a7669e9661435432f9d4cd43f7ed24400c01507a93", Size: 461_860_800,
			Form: FormGGUF, Architecture: "hunyuan-dense", Parameters: 1_800_000_000, Activations: weightOnly,
			Tokenizer: "hunyuan", License: "apache-2.0", Description: "Hy-MT2 1.8B by Tencent, translation, STQ1_0, ready to run",
		},
		{
			Name: "hy-mt1.5-1.8b", Repository: "AngelSlim/Hy-MT1.5-1.8B-1.25bit-GGUF", File: "Hy-MT1.5-1.8B-1.25bit.gguf",
			Form: FormGGUF, Architecture: "hunyuan-dense", Parameters: 1_800_000_000, Activations: weightOnly,
			Tokenizer: "hunyuan", Description: "Hy-MT1.5 1.8B by Tencent, translation, STQ1_0, ready to run",
		},
		{
			Name: "bitnet-embeddings-0.6b", Repository: "microsoft/bitnet-embedding-0.6b", File: "bitnet-embeddings-0.6b-bf16-i2_s.gguf",
			SHA256: "c89c64f05a2d3f83565250a6762640197fc624df866d4a1bd5853f811219af17", Size: 428_000_000,
			Form: FormGGUF, Architecture: "qwen3", Parameters: 600_000_000, Context: 32768,
			Tokenizer: "qwen-2", Description: "text embeddings of 1024 numbers by Microsoft", Embedding: true,
		},
		{
			Name: "bitnet-embeddings-270m", Repository: "microsoft/bitnet-embedding-270m", File: "bitnet-embeddings-270m-bf16-i2_s.gguf",
			SHA256: "8ee5ae971b103cd55758934be54e5c9f7cc2b58b15890615acce8e649988c751", Size: 367_000_000, HiddenAct: "gelu_pytorch_tanh",
			Form: FormGGUF, Architecture: "gemma3", Parameters: 270_000_000, Context: 32768,
			Tokenizer: "gemma", Description: "text embeddings of 640 numbers by Microsoft", Embedding: true,
		},
	}
}

// kind says what a model with the given chat template is for.
func kind(chat string) string {
	if chat == "" {
		return "base"
	}
	return "chat"
}

// Lookup finds an entry of the catalogue by its name. Lower and upper case are
// the same, and so is the name with Ollama's tag for the default.
func Lookup(name string) (Entry, bool) {
	name = strings.TrimSuffix(name, tag)
	for _, e := range Catalogue() {
		if strings.EqualFold(e.Name, name) {
			return e, true
		}
	}
	return Entry{}, false
}
