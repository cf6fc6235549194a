package core

import (
	"fmt"
	"slices"
	"strings"
	"sync"

	"trit/sample"
)

// API is one kind of request, or several of them.
type API uint16

// The kinds of requests whose fields the table below decides about.
const (
	Chat API = 1 << iota
	Completions
	Responses
	Embeddings
	OllamaChat
	OllamaGenerate
	OllamaEmbed
	Messages
	Completion

	openAIText = Chat | Completions | Responses
	ollamaText = OllamaChat | OllamaGenerate
	ollamaAll  = ollamaText | OllamaEmbed
)

// APIs are the kinds of requests with the paths that they are sent to, in the order of the pages.
func APIs() []API {
	return []API{Chat, Completions, Responses, Embeddings, OllamaChat, OllamaGenerate, OllamaEmbed, Messages, Completion}
}

// String returns the path that requests of a kind are sent to.
func (a API) String() string {
	return map[API]string{Chat: "/v1/chat/completions", Completions: "/v1/completions", Responses: "/v1/responses",
		Embeddings: "/v1/embeddings", OllamaChat: "/api/chat", OllamaGenerate: "/api/generate", OllamaEmbed: "/api/embed",
		Messages: "/v1/messages", Completion: "/completion"}[a]
}

// Treatment is what becomes of a field.
type Treatment int

const (
	// Kept is a contract: the answer is as the field asks, or the request is refused.
	Kept Treatment = iota
	// Followed is a hint that is followed as far as it can be; where that is not all the way
	// the client is told.
	Followed
	// Ignored is a hint that means something to the API's own server and nothing here; the
	// client is told.
	Ignored
	// Inert fields change no answer on any server: whom a request is for, how it is filed.
	Inert
	// Refused is a contract that this server does not keep.
	Refused
)

// FieldRule says what becomes of a field of a kind of request.
type FieldRule struct {
	API       API
	Treatment Treatment
	// Names are the paths of fields, with spaces between them: "options.num_ctx".
	Names string
	// Remedy says what to do instead of what is refused. Where it is empty the handler says it.
	Remedy string
	// Harmless are values, as JSON with spaces between them, that ask for nothing, beside
	// null, false, 0 and what is empty.
	Harmless string
}

// contracts says of every field of the requests above what becomes of it. What no row names is
// ignored, and the client is told.
var contracts = []FieldRule{
	// OpenAI, with what vLLM and llama-server add
	{API: openAIText, Names: "model stream stop logit_bias samplers n_predict ignore_eos min_tokens stop_token_ids bad_words " +
		"allowed_token_ids skip_special_tokens prompt_logprobs seed dry_sequence_breakers cache_salt " +
		"grammar json_schema guided_json guided_regex guided_choice guided_grammar structured_outputs " +
		"structured_outputs.json structured_outputs.regex structured_outputs.choice structured_outputs.grammar structured_outputs.json_object"},
	{API: Chat | Completions, Names: "n max_tokens logprobs stream_options stream_options.include_usage best_of response_format " +
		"response_format.type response_format.schema response_format.strict response_format.json_schema " +
		"response_format.json_schema.name response_format.json_schema.schema response_format.json_schema.strict"},
	{API: Chat, Names: "messages max_completion_tokens tools modalities documents functions function_call " +
		"add_generation_prompt continue_final_message reasoning_format"},
	{API: Chat | Responses, Names: "tool_choice parallel_tool_calls top_logprobs chat_template_kwargs"},
	{API: Completions, Names: "prompt echo add_special_tokens parse_special"},
	{API: Responses, Names: "input instructions max_output_tokens include metadata truncation tools text text.format reasoning"},
	{API: Embeddings, Names: "model input encoding_format dimensions input_type"},
	{API: Chat, Treatment: Followed, Names: "reasoning_effort reasoning_budget thinking_budget_tokens thinking_token_budget"},
	{API: Responses, Treatment: Followed, Names: "reasoning.effort"},
	{API: openAIText, Treatment: Ignored, Names: "moderation prediction priority verbosity id_slot n_keep return_token_ids"},
	{API: openAIText, Names: "timings_per_token return_progress"},
	{API: openAIText, Treatment: Ignored, Names: "spaces_between_special_tokens", Harmless: "true"},
	{API: openAIText | Embeddings, Treatment: Ignored, Names: "service_tier", Harmless: `"auto" "default"`},
	{API: openAIText, Treatment: Ignored, Names: "store"},
	{API: Chat | Completions, Treatment: Ignored, Names: "response_format.json_schema.description"},
	{API: Chat, Treatment: Ignored, Names: "web_search_options"},
	{API: Responses, Treatment: Ignored, Names: "max_tool_calls stream_options text.verbosity reasoning.summary reasoning.generate_summary"},
	{API: openAIText | Embeddings, Treatment: Inert, Names: "user request_id"},
	{API: openAIText, Treatment: Inert, Names: "safety_identifier prompt_cache_key prompt_cache_retention prompt_cache_options " +
		"cache_prompt guided_decoding_backend"},
	{API: Chat | Completions, Treatment: Inert, Names: "metadata stream_options.include_obfuscation"},
	{API: openAIText, Treatment: Refused, Names: "use_beam_search", Remedy: "leave it out"},
	{API: openAIText, Treatment: Refused, Names: "length_penalty", Harmless: "1 1.0", Remedy: "it belongs to beam search"},
	{API: openAIText, Treatment: Refused, Names: "include_stop_str_in_output", Remedy: "stop strings are never part of the answer"},
	{API: openAIText | Embeddings, Treatment: Refused, Names: "truncate_prompt_tokens", Remedy: "shorten the prompt instead"},
	{API: openAIText, Treatment: Refused, Names: "return_tokens_as_token_ids", Remedy: "POST /tokenize gives ids"},
	{API: openAIText, Treatment: Refused, Names: "logits_processors", Remedy: "use logit_bias, grammar or response_format"},
	{API: openAIText | Completion, Treatment: Refused, Names: "lora", Remedy: "adapters cannot be loaded"},
	{API: openAIText, Treatment: Refused, Names: "guided_whitespace_pattern", Remedy: "use a grammar"},
	{API: openAIText, Treatment: Refused, Names: "grammar_lazy", Remedy: "a grammar holds from the first token on"},
	{API: Chat, Treatment: Refused, Names: "audio", Remedy: "this server's models write text only"},
	{API: Chat, Treatment: Refused, Names: "chat_template", Remedy: "the model's own is used, or that of the server's option chat_template"},
	{API: Chat, Treatment: Refused, Names: "echo", Remedy: "use POST /v1/completions"},
	{API: Completions, Treatment: Refused, Names: "suffix",
		Remedy: "this server's models write what follows a text, not what is missing in it"},
	{API: Responses, Treatment: Refused, Names: "previous_response_id conversation",
		Remedy: "this server keeps nothing between requests; send the whole conversation as input"},
	{API: Responses, Treatment: Refused, Names: "prompt", Remedy: "this server has no stored prompts; use instructions and input"},
	{API: Responses, Treatment: Refused, Names: "background", Remedy: "this server keeps nothing between requests; use stream"},
	{API: Responses, Treatment: Refused, Names: "context_management", Remedy: "truncation auto drops the oldest turns"},

	// Ollama
	{API: ollamaText, Names: "model stream format keep_alive think truncate logprobs top_logprobs"},
	{API: OllamaChat, Names: "messages tools tool_choice"},
	{API: OllamaGenerate, Names: "prompt system raw parse_special context"},
	{API: OllamaEmbed, Names: "model input truncate dimensions keep_alive"},
	{API: ollamaAll, Names: "options options.num_predict options.stop options.logit_bias options.seed " +
		"options.dry_sequence_breakers options.cache_salt"},
	{API: ollamaAll, Treatment: Followed, Names: "options.num_ctx"},
	{API: ollamaAll, Treatment: Ignored, Names: "options.num_keep options.num_batch options.num_gpu options.main_gpu " +
		"options.num_thread options.low_vram options.f16_kv options.vocab_only options.use_mmap options.use_mlock options.numa " +
		"options.penalize_newline"},
	{API: ollamaAll, Treatment: Ignored, Names: "options.tfs_z", Harmless: "1 1.0"},
	{API: ollamaText, Treatment: Ignored, Names: "shift"},
	{API: OllamaGenerate, Treatment: Refused, Names: "template suffix images"},

	// Anthropic
	{API: Messages, Names: "model max_tokens messages system stop_sequences stream temperature top_p top_k tools tool_choice " +
		"tool_choice.type tool_choice.name tool_choice.disable_parallel_tool_use output_config output_config.format " +
		"output_config.format.type output_config.format.schema output_format output_format.type output_format.schema"},
	{API: Messages, Treatment: Followed, Names: "thinking thinking.type thinking.budget_tokens output_config.effort"},
	{API: Messages, Treatment: Ignored, Names: "mcp_servers container context_management speed inference_geo thinking.display"},
	{API: Messages, Treatment: Ignored, Names: "service_tier", Harmless: `"auto" "standard_only"`},
	{API: Messages, Treatment: Inert, Names: "metadata cache_control"},

	// llama-server
	{API: Completion, Names: "model prompt n_predict max_tokens stream stop ignore_eos logit_bias n_probs grammar json_schema samplers " +
		"return_tokens parse_special response_fields timings_per_token return_progress post_sampling_probs seed dry_sequence_breakers cache_salt"},
	{API: Completion, Treatment: Ignored, Names: "n_keep n_discard n_cache_reuse"},
	{API: Completion, Treatment: Ignored, Names: "id_slot", Harmless: "-1"},
	{API: Completion, Treatment: Inert, Names: "cache_prompt"},
	{API: Completion, Treatment: Refused, Names: "t_max_predict_ms", Remedy: "bound the answer with n_predict"},
	{API: Completion, Treatment: Refused, Names: "n_indent", Remedy: "a grammar can ask for indented lines"},
}

// Contract is the part of the table that is about one kind of request.
type Contract struct {
	rules   map[string]*FieldRule
	parents map[string]bool // objects whose fields have rules
}

// byAPI are the contracts, made of the table when they are first asked for.
var byAPI = sync.OnceValue(func() map[API]*Contract {
	out := map[API]*Contract{}
	for _, a := range APIs() {
		c := &Contract{rules: map[string]*FieldRule{}, parents: map[string]bool{"": true}}
		add := func(name string, rule *FieldRule) {
			if c.rules[name] != nil {
				panic("server: two rules for the field " + name + " of " + a.String())
			}
			c.rules[name] = rule
			if i := strings.LastIndexByte(name, '.'); i > 0 {
				c.parents[name[:i]] = true
			}
		}
		for i := range contracts {
			rule := &contracts[i]
			if rule.API&a == 0 {
				continue
			}
			for name := range strings.FieldsSeq(rule.Names) {
				add(name, rule)
			}
		}
		for _, p := range sample.Params() { // as far as the API has them
			prefix, rule := "", &FieldRule{Treatment: Kept}
			switch {
			case a&ollamaAll != 0:
				prefix = "options."
			case a&(openAIText|Completion) == 0:
				continue
			}
			add(prefix+p.Name, rule)
			if p.Synonym != "" {
				add(prefix+p.Synonym, rule)
			}
		}
		out[a] = c
	}
	return out
})

// ContractOf returns the rules for the fields of a kind of request.
func ContractOf(a API) *Contract { return byAPI()[a] }

// Fields returns the paths of the fields with that treatment, sorted.
func (c *Contract) Fields(t Treatment) []string {
	var out []string
	for name, rule := range c.rules {
		if rule.Treatment == t {
			out = append(out, name)
		}
	}
	slices.Sort(out)
	return out
}

// Rule returns the rule for a field, nil if there is none.
func (c *Contract) Rule(path string) *FieldRule { return c.rules[path] }

// Bound is a request whose fields the table decides about.
type Bound interface{ API() API }

// asksNothing reports whether a value of a field that is not served asks for nothing.
func (f *FieldRule) asksNothing(value string) bool {
	return slices.Contains([]string{"null", "false", "0", "0.0", `""`, "[]"}, value) ||
		slices.Contains(strings.Fields(f.Harmless), value)
}

// judge decides about a field of a request that has a value: nothing becomes of it, it is noted as
// ignored, or the request is refused.
func (c *Contract) judge(path, value string, ignored *[]string) error {
	rule := c.rules[path]
	switch {
	case rule == nil && value != "null":
		*ignored = append(*ignored, fmt.Sprintf("%.60q", path))
	case rule == nil:
	case rule.Treatment == Ignored && !rule.asksNothing(value):
		*ignored = append(*ignored, path)
	case rule.Treatment == Refused && rule.Remedy != "" && !rule.asksNothing(value):
		return Unsupported(path, "%s is not supported by this server; %s", path, rule.Remedy)
	}
	return nil
}
