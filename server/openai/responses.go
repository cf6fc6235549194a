package openai

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"trit"
	"trit/chat"
	"trit/server/core"
)

// notStored answers requests for a response of the past.
func notStored(_ http.ResponseWriter, r *http.Request) error {
	return &core.Error{Status: http.StatusNotFound, Code: "response_not_found",
		Message: fmt.Sprintf("there is no response %q: this server keeps none", r.PathValue("id"))}
}

// responseRequest is the body of POST /v1/responses.
type responseRequest struct {
	Model        string          `json:"model"`
	Input        json.RawMessage `json:"input"`
	Instructions *string         `json:"instructions"`
	requestOptions

	MaxOutputTokens *int              `json:"max_output_tokens"`
	TopLogProbs     *int              `json:"top_logprobs"`
	Include         []string          `json:"include"`
	Metadata        map[string]string `json:"metadata"`
	Truncation      *string           `json:"truncation"`
	Stream          bool              `json:"stream"`

	Text *struct {
		Format json.RawMessage `json:"format"`
	} `json:"text"`
	Tools             []responseTool        `json:"tools"`
	ToolChoice        *core.ToolChoiceField `json:"tool_choice"`
	ParallelToolCalls *bool                 `json:"parallel_tool_calls"`
	known             []responseTool        // those that the model may call

	Reasoning *struct {
		Effort *string `json:"effort"`
	} `json:"reasoning"`

	TemplateKwargs templateField `json:"chat_template_kwargs"` // vLLM

	TimingsPerToken bool `json:"timings_per_token"` // llama.cpp
	ReturnProgress  bool `json:"return_progress"`   // likewise
}

// API implements core.Bound.
func (*responseRequest) API() core.API { return core.Responses }

// maxTools bounds the functions of a request, those within namespaces included.
const maxTools = 128

// responseTool is a tool of the responses API; the same in requests and answers.
type responseTool struct {
	Type        string          `json:"type"`
	Name        string          `json:"name"`
	Description *string         `json:"description"`
	Parameters  json.RawMessage `json:"parameters"`
	Strict      *bool           `json:"strict"`

	Tools []responseTool `json:"tools,omitempty"` // of a namespace
	// Namespace is that of the function, Custom says that it is a tool of the type custom:
	// its input is a text.
	Namespace string `json:"-"`
	Custom    bool   `json:"-"`
}

// customParameters are those of the function that a custom tool becomes.
var customParameters = json.RawMessage(`{"type":"object","properties":{"input":{"type":"string"}},"required":["input"],` +
	`"additionalProperties":false}`)

// customInput is the arguments of such a function.
type customInput struct {
	Input string `json:"input"`
}

// functions returns the tools of a request as functions: those of namespaces among the
// others, and a custom tool, whose input is a text, as a function with that text. Codex
// sends both. Tools that only OpenAI's own server runs are left out.
func (req *responseRequest) functions(c *core.Conversation) ([]responseTool, error) {
	var out []responseTool
	seen := map[string]bool{}
	var add func(tools []responseTool, at, namespace string) error
	add = func(tools []responseTool, at, namespace string) error {
		for i, t := range tools {
			param := fmt.Sprintf("%s[%d]", at, i)
			switch t.Type {
			case "namespace":
				if namespace != "" {
					return core.BadRequest(param, "%s is a namespace within a namespace", param)
				}
				if err := add(t.Tools, param+".tools", t.Name); err != nil {
					return err
				}
				continue
			case "function":
			case "custom":
				t.Custom, t.Parameters = true, customParameters
			case "":
				return core.BadRequest(param+".type", "%s has no type; want function", param)
			default:
				c.IgnoreTool(param, t.Type)
				continue
			}
			if namespace != "" && seen[t.Name] { // calls could not tell them apart
				c.IgnoreTool(param, t.Name)
				continue
			}
			seen[t.Name], t.Namespace = true, namespace
			f := chat.Function{Name: t.Name, Description: core.ValueOr(t.Description, ""), Parameters: t.Parameters,
				Strict: t.Strict}
			if err := checkTool(&f, param); err != nil {
				return err
			}
			t.Parameters = f.Parameters
			out = append(out, t)
			if len(out) > maxTools {
				return core.BadRequest("tools", "there are more than %d tools, which is what is allowed", maxTools)
			}
			c.Tools = append(c.Tools, chat.Tool{Type: "function", Function: f})
		}
		return nil
	}
	return out, add(req.Tools, "tools", "")
}

// responses answers POST /v1/responses.
func (s *api) responses(w http.ResponseWriter, r *http.Request) error {
	var req responseRequest
	if err := core.ReadJSON(r, &req); err != nil {
		return err
	}
	c, err := req.conversation()
	if err != nil {
		return err
	}
	limit, err := req.limit(s.Options.Limit(), limitField{"max_output_tokens", req.MaxOutputTokens})
	if err != nil {
		return err
	}
	model, err := s.Models.Acquire(r.Context(), req.Model)
	if err != nil {
		return err
	}
	defer model.Release()
	if c.Options, err = req.apply(r.Context(), model.Model, limit, req.logProbs(), core.ValueOr(req.TopLogProbs, 0)); err != nil {
		return err
	}
	sampling, err := req.sampling(r.Context(), model.Model)
	if err != nil {
		return err
	}
	p, err := model.Prepare(r.Context(), c)
	if err != nil {
		return err
	}
	core.SayIgnored(r, c.Ignored)
	out := s.NewReply(w, r, core.FormOf(req.Stream, core.Events))
	b := newResponseBuilder(&req, p, out)
	b.response.Temperature, b.response.TopP = core.FewDigits(sampling.Temperature), core.FewDigits(sampling.TopP)
	if req.Stream && req.ReturnProgress {
		p.ReportPrompt(b.progress)
	}
	return core.Answer(out, s.Converse(out.Context(), p), b)
}

// logProbs reports whether the probabilities of tokens are asked for.
func (req *responseRequest) logProbs() bool {
	return slices.Contains(req.Include, "message.output_text.logprobs") || core.ValueOr(req.TopLogProbs, 0) > 0
}

// conversation checks a request and returns what it asks for, but for the
// options, which depend on the model.
func (req *responseRequest) conversation() (*core.Conversation, error) {
	if err := req.check(); err != nil {
		return nil, err
	}
	c := new(core.Conversation)
	c.SingleCall, c.Variables = !core.ValueOr(req.ParallelToolCalls, true), req.TemplateKwargs
	if req.Reasoning != nil && req.Reasoning.Effort != nil {
		if err := c.SetEffort("reasoning.effort", *req.Reasoning.Effort); err != nil {
			return nil, err
		}
	}
	c.Truncation = trit.Truncation{DropOldest: core.ValueOr(req.Truncation, "disabled") == "auto",
		Reserve: max(core.ValueOr(req.MaxOutputTokens, 0), 0), YieldReserve: true}
	var err error
	if err := responseInput(c, req.Input); err != nil {
		return nil, err
	}
	if req.Instructions != nil {
		c.Messages = append([]chat.Message{{Role: "system", Content: *req.Instructions}}, c.Messages...)
	}
	var rf *responseFormat
	if req.Text != nil && !core.IsNull(req.Text.Format) {
		rf = new(responseFormat)
		if err := core.DecodeAt(req.Text.Format, rf, "text.format"); err != nil {
			return nil, err
		}
	}
	f, err := req.guideFields.format(rf, "text.format")
	if err != nil {
		return nil, err
	}
	c.SetFormat(f)
	if req.known, err = req.functions(c); err != nil {
		return nil, err
	}
	c.ToolChoice, err = req.ToolChoice.Of(c.Tools)
	return c, err
}

func (req *responseRequest) check() error {
	if err := within("top_logprobs", req.TopLogProbs, 0, maxTopLogProbs); err != nil {
		return err
	}
	switch core.ValueOr(req.Truncation, "disabled") {
	case "auto", "disabled":
	default:
		return core.BadRequest("truncation", "truncation is %.40q; want auto or disabled", *req.Truncation)
	}
	if req.PromptLogProbs != nil {
		return core.Unsupported("prompt_logprobs",
			"prompt_logprobs is not supported here; use POST /v1/chat/completions")
	}
	return nil
}

// responseInput reads the input of a request: a text, or the items of a
// conversation.
func responseInput(c *core.Conversation, raw json.RawMessage) error {
	if core.IsNull(raw) {
		return core.BadRequest("input", "input is missing")
	}
	var text string
	if json.Unmarshal(raw, &text) == nil {
		c.Messages = []chat.Message{{Role: "user", Content: text}}
		return nil
	}
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		return core.BadType("input", "a string or an array of items")
	}
	for i, data := range items {
		var err error
		if c.Messages, err = responseItem(c, c.Messages, data, fmt.Sprintf("input[%d]", i)); err != nil {
			return err
		}
	}
	if n := len(c.Messages); n > 0 && thoughtOnly(c.Messages[n-1]) { // nothing came of it
		c.Messages = c.Messages[:n-1]
	}
	if len(c.Messages) == 0 {
		return core.BadRequest("input", "input is empty")
	}
	return nil
}

// thoughtOnly reports whether a message is reasoning whose answer has not come yet.
func thoughtOnly(m chat.Message) bool {
	return m.Role == "assistant" && m.Reasoning != "" && m.Content == "" && len(m.ToolCalls) == 0
}

// joinTexts returns the texts of a list of parts, a line each; nothing if it is another thing.
func joinTexts(raw json.RawMessage) string {
	var parts []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(raw, &parts) != nil {
		return ""
	}
	texts := make([]string, len(parts))
	for i, p := range parts {
		texts[i] = p.Text
	}
	return strings.Join(texts, "\n")
}

// hostedItem reports whether items of a type come from tools that OpenAI's own server
// runs, or from tools that were left out.
func hostedItem(kind string) bool {
	return strings.HasSuffix(kind, "_call") || strings.HasSuffix(kind, "_call_output") ||
		strings.HasPrefix(kind, "mcp_") || kind == "compaction"
}

// responseItem adds an item to a conversation; param names it.
func responseItem(c *core.Conversation, messages []chat.Message, data json.RawMessage, param string) ([]chat.Message, error) {
	var item struct {
		Type      string          `json:"type"`
		Role      string          `json:"role"`
		Content   json.RawMessage `json:"content"`
		CallID    string          `json:"call_id"`
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
		Output    json.RawMessage `json:"output"`
		Input     string          `json:"input"`
		Summary   json.RawMessage `json:"summary"`
	}
	if err := core.DecodeAt(data, &item, param); err != nil {
		return nil, err
	}
	if item.Type == "" && item.Role != "" {
		item.Type = "message"
	}
	switch item.Type {
	case "message":
		switch item.Role {
		case "user", "assistant", "system":
		case "developer":
			item.Role = "system"
		default:
			return nil, core.BadRequest(param+".role",
				"%s has the role %.40q; want user, assistant, system or developer",
				param, item.Role)
		}
		if core.IsNull(item.Content) {
			return nil, core.BadRequest(param+".content", "%s has no content", param)
		}
		text, parts, err := contentParts(item.Content, param+".content")
		if n := len(messages); item.Role == "assistant" && n > 0 && thoughtOnly(messages[n-1]) {
			messages[n-1].Content, messages[n-1].Parts = text, parts
			return messages, err
		}
		return append(messages, chat.Message{Role: item.Role, Content: text, Parts: parts}), err
	case "custom_tool_call", "function_call":
		if item.Type == "custom_tool_call" {
			var err error
			if item.Arguments, err = json.Marshal(customInput{item.Input}); err != nil {
				return nil, err
			}
		}
		call, err := toolCall(item.CallID, item.Name, item.Arguments, param)
		if err != nil {
			return nil, err
		}
		// What the assistant said and called in one turn is one message.
		if n := len(messages); n > 0 && messages[n-1].Role == "assistant" {
			messages[n-1].ToolCalls = append(messages[n-1].ToolCalls, call)
			return messages, nil
		}
		return append(messages, chat.Message{Role: "assistant", ToolCalls: []chat.ToolCall{call}}), nil
	case "function_call_output", "custom_tool_call_output":
		text, parts, err := contentParts(item.Output, param+".output")
		return append(messages, chat.Message{Role: "tool", Content: text, Parts: parts, ToolCallID: item.CallID,
			Name: item.Name}), err
	case "reasoning":
		// What it says is of the turn that follows. Whether the model sees it again is up to its template.
		thought := joinTexts(item.Content)
		if thought == "" {
			thought = joinTexts(item.Summary)
		}
		if thought == "" { // of another server, which encrypts it
			return messages, nil
		}
		return append(messages, chat.Message{Role: "assistant", Reasoning: thought}), nil
	case "item_reference":
		return nil, core.Unsupported(param,
			"%s refers to an item of the past, and this server keeps none; send the item itself", param)
	case "":
		return nil, core.BadRequest(param+".type", "%s has no type", param)
	}
	if hostedItem(item.Type) {
		c.IgnoreTool(param, item.Type)
		return messages, nil
	}
	return nil, core.Unsupported(param+".type",
		"%s is of type %.40q, which is not supported; this server knows message, "+
			"function_call, function_call_output and reasoning", param, item.Type)
}
