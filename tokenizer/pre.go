package tokenizer

// splitKind is a way to cut text into the pieces that byte-level BPE merges
// within. The lists of regular expressions are those of llama.cpp's
// llm_tokenizer_bpe; split.go implements them by hand.
type splitKind uint8

const (
	splitDefault splitKind = iota
	splitLlama3            // numbers in groups of up to three
	splitQwen2             // the Llama 3 pattern with single numbers
	splitQwen35            // the same with combining marks counted among the letters
	splitGPT2
	splitFalcon
	splitDigitsGPT2 // single numbers, then GPT-2 within what is left
	splitO200k      // words that begin in upper and end in lower case
	splitTekken     // the same without contractions and with single numbers
	splitDeepSeekLLM
	splitDeepSeekCoder
	splitDeepSeek3
)

// preTokenizer is what a name in tokenizer.ggml.pre stands for.
type preTokenizer struct {
	split        splitKind
	ignoreMerges bool
	addBOS       bool
	keepSpaces   bool // clean_spaces is off
	noBOS        bool // the BOS id has no default
}

var preTokenizers = map[string]preTokenizer{
	"default": {split: splitDefault},

	"llama3":    {split: splitLlama3, ignoreMerges: true, addBOS: true},
	"llama-v3":  {split: splitLlama3, ignoreMerges: true, addBOS: true},
	"llama-bpe": {split: splitLlama3, ignoreMerges: true, addBOS: true},
	"falcon3":   {split: splitLlama3, ignoreMerges: true, addBOS: true},
	"falcon_e":  {split: splitLlama3, ignoreMerges: true, addBOS: true},

	"smaug-bpe":   {split: splitLlama3},
	"dbrx":        {split: splitLlama3},
	"chatglm-bpe": {split: splitLlama3, noBOS: true},

	"qwen2":            {split: splitQwen2, keepSpaces: true},
	"deepseek-r1-qwen": {split: splitQwen2, keepSpaces: true},
	"megrez":           {split: splitQwen2},
	"qwen35":           {split: splitQwen35, keepSpaces: true},

	"gpt-2":        {split: splitGPT2},
	"phi-2":        {split: splitGPT2},
	"roberta-bpe":  {split: splitGPT2},
	"jina-es":      {split: splitGPT2},
	"jina-de":      {split: splitGPT2},
	"jina-v1-en":   {split: splitGPT2},
	"jina-v2-es":   {split: splitGPT2},
	"jina-v2-de":   {split: splitGPT2},
	"jina-v2-code": {split: splitGPT2},
	"mpt":          {split: splitGPT2},
	"olmo":         {split: splitGPT2},
	"jais":         {split: splitGPT2},

	"falcon": {split: splitFalcon},

	"gpt-4o": {split: splitO200k, keepSpaces: true}, // and gpt-oss
	"llama4": {split: splitO200k, keepSpaces: true},
	"tekken": {split: splitTekken, keepSpaces: true, ignoreMerges: true, addBOS: true},

	"hunyuan":        {split: splitQwen2, keepSpaces: true},
	"hunyuan-dense":  {split: splitDeepSeek3, keepSpaces: true},
	"deepseek-v3":    {split: splitDeepSeek3, keepSpaces: true},
	"deepseek-coder": {split: splitDeepSeekCoder, keepSpaces: true},
	"deepseek-llm":   {split: splitDeepSeekLLM, keepSpaces: true},

	"starcoder":  {split: splitDigitsGPT2},
	"refact":     {split: splitDigitsGPT2},
	"command-r":  {split: splitDigitsGPT2},
	"smollm":     {split: splitDigitsGPT2},
	"codeshell":  {split: splitDigitsGPT2},
	"exaone":     {split: splitDigitsGPT2},
	"minerva-7b": {split: splitDigitsGPT2},
}
