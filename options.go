package trit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"trit/chat"
	"trit/grammar"
	"trit/internal/engine"
	"trit/internal/fault"
	"trit/internal/generate"
	"trit/internal/head"
	"trit/internal/kernel"
	"trit/internal/kernel/autotune"
	"trit/internal/model"
	"trit/quant"
	"trit/sample"
	"trit/tokenizer"
)

// Option changes how a model is opened. One that cannot be used is an
// [OptionError] of [Open].
type Option func(*openOptions)

type openOptions struct {
	engine    engine.Options
	load      model.LoadOptions
	pre       string
	tokenizer string
	template  *chat.Template
	sampling  func(*sample.Options)
	memory    int64 // 0: no limit
	grammars  *grammar.Memory
	numa      *NUMAMode
	err       error // what is wrong with the options
}

// openOptionsOf applies options to the defaults.
func openOptionsOf(opts []Option) (openOptions, error) {
	o := openOptions{engine: engine.Options{KVType: kernel.KVF16}}
	for _, opt := range opts {
		if opt == nil {
			return o, fault.Option("option", "it is nil")
		}
		opt(&o)
	}
	o.placeThreads()
	return o, o.err
}

// fail notes what is wrong with an option.
func (o *openOptions) fail(option, format string, args ...any) {
	o.err = errors.Join(o.err, fault.Option(option, format, args...))
}

// count notes a number that is negative.
func (o *openOptions) count(option string, n int) int {
	if n < 0 {
		o.fail(option, "%d; want a positive number, or 0 for the default", n)
	}
	return n
}

// known notes a value that is none of an enumeration, whose names parse reads.
func known[T fmt.Stringer](o *openOptions, option string, v T, parse func(string) (T, error)) T {
	if _, err := parse(v.String()); err != nil {
		o.fail(option, "the value %v is none of the constants of its type", v)
	}
	return v
}

// ContextSize sets the largest number of tokens of a text, prompt included; 0
// means what the model was trained for.
func ContextSize(n int) Option {
	return func(o *openOptions) { o.engine.Context = o.count("context_size", n) }
}

// KVFormat is the element type of the cache of keys and values.
type KVFormat = kernel.KVType

// The element types.
const (
	KVF32, KVF16 = kernel.KVF32, kernel.KVF16 // KVF16 is the default
	KVInt8       = kernel.KVI8                // with a scale for each token
	KVQ4         = kernel.KVQ4                // four bits, with a scale for each 32 elements
)

// KVType sets the element type of the KV cache.
func KVType(t KVFormat) Option {
	return func(o *openOptions) { o.engine.KVType = known(o, "kv_type", t, kernel.ParseKVType) }
}

// KVTokens sets how many tokens of all texts together the KV cache can hold; 0
// means four texts of the whole context, or what 256 MB hold but at least one
// where addresses have 32 bits. Memory is taken as the tokens come. States count: see [MemoryPlan].
func KVTokens(n int) Option {
	return func(o *openOptions) { o.engine.CachePages = pagesFor(o.count("kv_tokens", n)) }
}

// PrefixCache sets how many tokens of prompts and answers are kept, when nobody
// uses them any more, for texts that begin in the same way; 0 means half of the
// KV cache, a negative number none. Texts that are being generated share what
// they have in common besides that.
func PrefixCache(tokens int) Option {
	return func(o *openOptions) {
		if o.engine.PrefixPages = pagesFor(tokens); tokens < 0 {
			o.engine.PrefixPages = -1
		}
	}
}

// pagesFor returns the pages of the KV cache that hold so many tokens.
func pagesFor(tokens int) int {
	if tokens <= 0 {
		return 0
	}
	return (tokens-1)/kernel.PageTokens + 1
}

// MaxMemory bounds the memory that the model takes, in bytes. The KV cache gets
// smaller if it must, but not smaller than one text of the whole context; a
// model that does not fit even then is an [ErrMemory] that says what would.
// [MemoryLimit] tells how much there is. 0 means no bound.
func MaxMemory(bytes int64) Option {
	return func(o *openOptions) {
		if o.memory = bytes; bytes < 0 {
			o.fail("max_memory", "%d bytes; want a positive number, or 0 for no limit", bytes)
		}
	}
}

// BatchRows sets how many tokens one forward pass takes at most; 0 means the
// default.
func BatchRows(n int) Option {
	return func(o *openOptions) { o.engine.MaxRows = o.count("batch_rows", n) }
}

// KernelVariant is an implementation of the ternary products.
type KernelVariant = kernel.Variant

// The implementations; all give the same numbers.
const (
	KernelAuto    = kernel.Auto    // the fastest
	KernelBasic   = kernel.Basic   // portable: decodes each weight where it is used
	KernelBlocked = kernel.Blocked // portable: decodes a block once for many rows
	KernelLUT     = kernel.LUT     // portable: looks up the products of a byte
	KernelSIMD    = kernel.SIMD    // the processor's vector instructions
)

// Kernel sets the implementation of the ternary products.
func Kernel(v KernelVariant) Option {
	return func(o *openOptions) { o.engine.Variant = known(o, "kernel", v, kernel.ParseVariant) }
}

// TuningFile names a file that keeps what is measured to choose the fastest kernels
// and layouts, so that it is measured once per machine and not by every Open; "" keeps
// it in memory, for the models that are opened with the same option. A file that cannot
// be used is reported to warn, which may be nil, and left alone.
func TuningFile(path string, warn func(error)) Option {
	tuner := autotune.New(path, warn)
	return func(o *openOptions) { o.load.Tuner = tuner }
}

// HeadMode is a way to compute the logits.
type HeadMode = head.Mode

// The ways. The first three give the same numbers; the others store the output
// head in fewer bits, which changes the logits a little.
const (
	HeadAuto   = head.Auto   // the faster of the next two
	HeadPlain  = head.Plain  // multiplies the rows as they are stored
	HeadCoarse = head.Coarse // reads few bits of most rows, and all of those that matter
	HeadQ8     = head.Q8     // stores the head as Q8_0
	HeadQ6     = head.Q6     // as Q6_K
	HeadQ4     = head.Q4     // as Q4_0
)

// Head sets how the logits are computed.
func Head(m HeadMode) Option {
	return func(o *openOptions) { o.engine.Head = known(o, "head", m, head.ParseMode) }
}

// ActivationFormat is what the inputs of ternary projections are rounded to.
type ActivationFormat = model.Activations

// The formats.
const (
	ActivationsInt8       = model.Int8       // 8 bits and a scale for each token, as BitNet is trained
	ActivationsFloat      = model.Float      // not at all
	ActivationsInt8Groups = model.Int8Groups // 8 bits and a scale for each 128 columns
)

// Activations overrides what the inputs of ternary projections are rounded to.
func Activations(a ActivationFormat) Option {
	return func(o *openOptions) { o.load.Activations = known(o, "activations", a, model.ParseActivations) }
}

// ActivationFunction is the function within the feed-forward network.
type ActivationFunction = model.HiddenAct

const (
	HiddenSiLU  = model.SiLU  // z·sigmoid(z)
	HiddenReLU2 = model.ReLU2 // max(z, 0)²
	HiddenGELU  = model.GELUTanh
)

// HiddenAct overrides the activation function of the feed-forward network.
func HiddenAct(a ActivationFunction) Option {
	return func(o *openOptions) { o.load.HiddenAct = known(o, "hidden_act", a, model.ParseHiddenAct) }
}

// I2SPacking is a packing of I2_S tensors, which files do not record.
type I2SPacking = quant.I2SLayout

// The packings; package quant describes them.
const (
	I2SLayoutA = quant.LayoutA // of all official files; the default
	I2SLayoutB = quant.LayoutB
	I2SLayoutC = quant.LayoutC
)

// I2SLayout sets the packing of I2_S tensors.
func I2SLayout(l I2SPacking) Option {
	return func(o *openOptions) { o.load.I2SLayout = known(o, "i2s_layout", l, quant.ParseI2SLayout) }
}

// PreTokenizer overrides the file's pre-tokenizer, for example "default" for
// the splitting that bitnet.cpp uses on files that name none; "" does not.
func PreTokenizer(name string) Option { return func(o *openOptions) { o.pre = name } }

// TokenizerPath takes the tokenizer from a tokenizer.json, a tokenizer.model or
// a folder with one of them instead of the model's file; "" does not.
func TokenizerPath(path string) Option { return func(o *openOptions) { o.tokenizer = path } }

// Progress sets a function that is called while the weights are loaded, with
// the weights done so far and in all.
func Progress(f func(done, total int64)) Option { return func(o *openOptions) { o.load.Progress = f } }

// GenerateOption changes how text is generated. One that cannot be used is an
// [OptionError] of the generation.
type GenerateOption func(*generateOptions)

type generateOptions struct {
	generate.Options
	draft       *Model
	speculates  bool // as Speculate says
	stats       *Stats
	arrived     time.Time
	constraints []constraintRequest
	stages      []sample.Stage
	rounds      int                  // of tool calls; 0: the default
	ctx         context.Context      // ends what options compute
	tokenizer   *tokenizer.Tokenizer // the model's
	err         error                // what is wrong with the options
}

// fail notes what is wrong with an option.
func (o *generateOptions) fail(option string, err error) {
	o.err = errors.Join(o.err, &OptionError{Option: option, Err: err})
}

var errNil = errors.New("it is nil")

// MaxTokens bounds the number of generated tokens; 0 means as many as a derived model says,
// or up to the end of the context.
func MaxTokens(n int) GenerateOption { return func(o *generateOptions) { o.Options.MaxTokens = n } }

// PromptOnly generates nothing: it brings the prompt into the prefix cache, for later ones.
func PromptOnly() GenerateOption { return func(o *generateOptions) { o.Options.PromptOnly = true } }

// MinTokens is the number of tokens before which the text cannot end.
func MinTokens(n int) GenerateOption { return func(o *generateOptions) { o.Options.MinTokens = n } }

// Choices generates n continuations of one prompt, decoded together. Token.Index
// tells them apart.
func Choices(n int) GenerateOption { return func(o *generateOptions) { o.Options.Choices = n } }

// Stop adds strings that end the text. They are not part of it.
func Stop(stops ...string) GenerateOption {
	return func(o *generateOptions) { o.Options.Stop = append(o.Options.Stop, stops...) }
}

// StopTokens adds tokens that end the text beside the model's own end tokens.
func StopTokens(ids ...int32) GenerateOption {
	return func(o *generateOptions) { o.Options.StopTokens = append(o.Options.StopTokens, ids...) }
}

// IgnoreEnd goes on after the model's end tokens.
func IgnoreEnd() GenerateOption { return func(o *generateOptions) { o.Options.IgnoreEnd = true } }

// ShowSpecial renders control tokens as text, and recognises them in prompts.
func ShowSpecial() GenerateOption { return func(o *generateOptions) { o.Options.Special = true } }

// Sampling replaces all sampling options; those of the model are
// [Model.Sampling].
func Sampling(s sample.Options) GenerateOption { return func(o *generateOptions) { o.Sampling = s } }

// Greedy always takes the most likely token.
func Greedy() GenerateOption { return func(o *generateOptions) { o.Sampling.Temperature = 0 } }

// Temperature divides the logits: 0 is greedy, 1 the model's own distribution.
func Temperature(t float64) GenerateOption {
	return func(o *generateOptions) { o.Sampling.Temperature = t }
}

// TopK keeps the k most likely tokens; 0 keeps all.
func TopK(k int) GenerateOption { return func(o *generateOptions) { o.Sampling.TopK = k } }

// TopP keeps the most likely tokens that together have probability p.
func TopP(p float64) GenerateOption { return func(o *generateOptions) { o.Sampling.TopP = p } }

// MinP keeps the tokens that are at least p times as likely as the most likely.
func MinP(p float64) GenerateOption { return func(o *generateOptions) { o.Sampling.MinP = p } }

// Seed makes the choice of tokens repeatable: same seed, same text.
func Seed(seed uint64) GenerateOption { return func(o *generateOptions) { o.Sampling.Seed = &seed } }

// BadWords keeps words from coming up, spelled as the model's tokenizer does at the beginning of a text, behind a
// space, and behind something else. A model that spells a word in other pieces is not kept from it. Finding the
// tokens ends with the generation's context.
func BadWords(words ...string) GenerateOption {
	return func(o *generateOptions) {
		var err error
		if o.Sampling.BadWords, err = generate.BadWords(o.ctx, o.tokenizer, words); err != nil {
			o.fail("bad_words", err)
		}
	}
}

// Breakers are the texts at which DRY, which [sample.Options].DRY switches on, takes a
// repetition to end. Without it the command line's and llama.cpp's are a line end, a
// colon, a quote and an asterisk; the library's are none. Finding their tokens ends with the generation's context.
func Breakers(texts ...string) GenerateOption {
	return func(o *generateOptions) {
		var err error
		if o.Sampling.DRY.Breakers, err = generate.Breakers(o.ctx, o.tokenizer, texts); err != nil {
			o.fail("dry_sequence_breakers", err)
		}
	}
}

// Stages adds samplers of one's own. They come before those of the sampling
// options, or where [sample.Options].Order names them; see [sample.Options].Stages.
func Stages(stages ...sample.Stage) GenerateOption {
	return func(o *generateOptions) { o.stages = append(o.stages, stages...) }
}

// ProcessLogits calls f with the logits of the vocabulary before a token is
// chosen from them, to change them in place, and with the tokens so far, prompt
// included. Tokens at −Inf cannot be chosen; those that the constraint forbids
// stay there. f must be a function of its arguments, as choices and guesses call
// it in any order.
func ProcessLogits(f func(logits []float32, tokens []int32) error) GenerateOption {
	return func(o *generateOptions) {
		if f == nil {
			o.fail("process_logits", errNil)
			return
		}
		o.stages = append(o.stages, sample.Process("process_logits", func(logits []float32, ctx *sample.Context) error {
			return f(logits, ctx.History)
		}))
	}
}

// Formatted makes the text keep to a format. It is what [JSON], [JSONSchema],
// [Regexp], [GBNF], [Choice], [Phrases] and [Grammar] do.
func Formatted(f Format) GenerateOption {
	return func(o *generateOptions) {
		r, err := f.request()
		if err != nil {
			o.fail("format", err)
		}
		if r != nil {
			o.constraints = append(o.constraints, *r)
		}
	}
}

// Grammar makes the text keep to a grammar. Only one option of this kind can be
// given.
func Grammar(g *grammar.Grammar) GenerateOption {
	if g == nil {
		return func(o *generateOptions) { o.fail("grammar", errors.New("it is nil; want a grammar")) }
	}
	return Formatted(Format{Grammar: g})
}

// JSONSchema makes the text a JSON value that a schema describes; see
// [Format.Schema].
func JSONSchema(schema []byte) GenerateOption {
	return Formatted(Format{Schema: append(json.RawMessage{}, schema...)})
}

// JSON makes the text a JSON object.
func JSON() GenerateOption { return Formatted(Format{Object: true}) }

// Regexp makes a regular expression of ECMA-262 match the text as a whole; see
// [grammar.CompileRegexp].
func Regexp(expr string) GenerateOption {
	if expr == "" {
		return func(o *generateOptions) {
			o.fail("regexp", errors.New("it is empty, which only an empty text would match"))
		}
	}
	return Formatted(Format{Regexp: expr})
}

// GBNF makes the text keep to a grammar in the format of llama.cpp; see
// [grammar.ParseGBNF].
func GBNF(source string) GenerateOption {
	if source == "" {
		return func(o *generateOptions) { o.fail("gbnf", errors.New("the grammar is empty")) }
	}
	return Formatted(Format{GBNF: source})
}

// Phrases makes the text contain every one of the phrases, in any order.
func Phrases(phrases ...string) GenerateOption {
	return Formatted(Format{Phrases: append([]string{}, phrases...)})
}

// Choice makes the text one of those given.
func Choice(texts ...string) GenerateOption {
	return Formatted(Format{Choice: append([]string{}, texts...)})
}

// Constraint is what a text must keep to, in a form of one's own; see
// [Constrain].
type Constraint = generate.Constraint

// Constrain makes the text keep to a constraint of one's own.
func Constrain(c Constraint) GenerateOption {
	return func(o *generateOptions) {
		if o.Options.Constraint = c; c == nil {
			o.fail("constrain", errNil)
		}
	}
}

// MTP loads the layer that guesses further tokens (multi-token prediction), which some files
// have. Texts are then generated with its guesses, unless another method is asked for: it
// does not change them, and saves time where guesses are right often enough. A model
// without such a layer is an error.
func MTP() Option { return func(o *openOptions) { o.load.MTP = true } }

// Speculation says how tokens are guessed ahead.
type Speculation = generate.Speculation

// Lookup guesses tokens ahead from earlier occurrences of the text's last ones,
// which saves time where a text repeats parts of itself or of the prompt. It
// does not change the text.
func Lookup() GenerateOption {
	return func(o *generateOptions) { o.Options.Speculation.Lookup, o.draft = true, nil }
}

// Draft guesses tokens ahead with a smaller model that has the same tokens. It
// does not change what the text can be, nor how likely; a greedy text stays the
// same. The draft model must stay open.
func Draft(m *Model) GenerateOption {
	return func(o *generateOptions) {
		if o.draft, o.Options.Speculation.Lookup = m, false; m == nil {
			o.fail("draft", errNil)
		}
	}
}

// Speculate sets all options of guessing ahead. With the zero value nothing is guessed.
func Speculate(s Speculation) GenerateOption {
	return func(o *generateOptions) { o.Options.Speculation, o.draft, o.speculates = s, nil, true }
}

// MaxGuesses bounds the tokens that are guessed at once by Lookup or Draft, given before it, or with
// [MTP]; 0 means 16, 8 and 4.
func MaxGuesses(n int) GenerateOption {
	return func(o *generateOptions) { o.Options.Speculation.MaxGuesses = n }
}

// Contrastive chooses among the k most likely tokens by contrastive search with
// the given weight of the penalty against repetition, 0 to 1, instead of by
// sampling.
func Contrastive(k int, alpha float64) GenerateOption {
	return func(o *generateOptions) { o.Options.Contrastive = generate.Contrastive{K: k, Alpha: alpha} }
}

// ToolRounds bounds how often in a row the model of [Model.ReplyWithTools] or
// [Model.ConverseWithTools] may call tools; 0 means 8.
func ToolRounds(n int) GenerateOption {
	return func(o *generateOptions) {
		if o.rounds = n; n < 0 {
			o.fail("tool_rounds", fmt.Errorf("%d; want a positive number, or 0 for %d", n, defaultRounds))
		}
	}
}
