package openai

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"trit"
	"trit/chat"
	"trit/server/core"
)

// chatTool is a tool of the chat API: a function, or one whose input is a text.
type chatTool struct {
	Type     string           `json:"type"`
	Function *chat.Function   `json:"function"`
	Custom   *chatCustomField `json:"custom"`
}

// chatCustomField is a tool whose input is a text. Its format is the model's to keep.
type chatCustomField struct {
	Name        string `json:"name"`
	Description string `json:"description"`
}

// answerCall is a call in an answer, or what a piece of a stream adds to one: the first has its
// id and name.
type answerCall struct {
	Index    *int          `json:"index,omitempty"` // in streams
	ID       string        `json:"id,omitempty"`
	Type     string        `json:"type,omitempty"`
	Function *functionPart `json:"function,omitempty"`
	Custom   *customPart   `json:"custom,omitempty"`
}

type functionPart struct {
	Name      string `json:"name,omitempty"`
	Arguments string `json:"arguments"`
}

type customPart struct {
	Name  string `json:"name,omitempty"`
	Input string `json:"input"`
}

// tools checks the tools of a request and puts them into a conversation, a custom one as a
// function with one text.
func (req *chatRequest) tools(c *core.Conversation) error {
	if err := req.legacyFunctions(c); err != nil {
		return err
	}
	for i, t := range req.Tools {
		param := fmt.Sprintf("tools[%d]", i)
		at := param + ".function"
		switch {
		case t.Type == "":
			return core.BadRequest(param+".type", "%s has no type; want function", param)
		case t.Type == "custom" && t.Custom != nil:
			at = param + ".custom"
			t.Function = &chat.Function{Name: t.Custom.Name, Description: t.Custom.Description, Parameters: customParameters}
			req.custom = append(req.custom, t.Custom.Name)
		case t.Type != "function" && t.Type != "custom":
			c.IgnoreTool(param, t.Type)
			continue
		case t.Function == nil:
			return core.BadRequest(param+"."+t.Type, "%s has no %s", param, t.Type)
		}
		if err := checkTool(t.Function, at); err != nil {
			return err
		}
		c.Tools = append(c.Tools, chat.Tool{Type: "function", Function: *t.Function})
	}
	if req.legacy {
		return nil
	}
	var err error
	c.ToolChoice, err = req.ToolChoice.Of(c.Tools)
	return err
}

// legacyFunctions reads what tools and tool_choice were before, which some clients still send.
func (req *chatRequest) legacyFunctions(c *core.Conversation) error {
	for i := range req.Functions {
		f := &req.Functions[i]
		if err := checkTool(f, fmt.Sprintf("functions[%d]", i)); err != nil {
			return err
		}
		c.Tools = append(c.Tools, chat.Tool{Type: "function", Function: *f})
	}
	req.legacy = len(req.Functions) > 0
	if req.legacy {
		c.SingleCall = true
	}
	if req.legacy && len(req.Tools) > 0 {
		return core.BadRequest("functions", "functions and tools exclude each other")
	}
	raw := bytes.TrimSpace(req.FunctionCall)
	switch string(raw) {
	case "", "null", `"auto"`:
		return nil
	case `"none"`:
		if req.legacy {
			c.ToolChoice.Mode = trit.ToolsNever
		}
		return nil
	}
	var named struct {
		Name string `json:"name"`
	}
	if raw[0] != '{' || json.Unmarshal(raw, &named) != nil {
		return core.BadType("function_call", "none, auto, or an object with a name")
	}
	if !slices.ContainsFunc(req.Functions, func(f chat.Function) bool { return f.Name == named.Name }) {
		return core.BadRequest("function_call", "function_call names %.60q, which is not among the functions", named.Name)
	}
	c.ToolChoice = trit.ToolChoice{Mode: trit.ToolsRequired, Names: []string{named.Name}}
	return nil
}

// calls returns the calls of a complete answer in the API's form.
func (req *chatRequest) calls(calls []chat.ToolCall) []answerCall {
	var out []answerCall
	for _, c := range calls {
		out = append(out, req.wholeCall(c))
	}
	return out
}

func (req *chatRequest) wholeCall(c chat.ToolCall) answerCall {
	if !slices.Contains(req.custom, c.Function.Name) {
		return answerCall{ID: c.ID, Type: "function", Function: &functionPart{c.Function.Name, c.Function.Arguments}}
	}
	var in customInput
	// Of a call that the limit cuts there is no text yet.
	_ = json.Unmarshal([]byte(c.Function.Arguments), &in)
	return answerCall{ID: c.ID, Type: "custom", Custom: &customPart{c.Function.Name, in.Input}}
}

// callDelta returns what a part of a call adds to a stream. A custom call comes as a whole, when the
// next one begins or the answer ends: what the model writes is not its input, but a text in it.
func (req *chatRequest) callDelta(calls []chat.ToolCall, p chat.CallPart) (delta chatDelta, ok bool) {
	if slices.Contains(req.custom, calls[p.Index].Function.Name) {
		return delta, false
	}
	part := &functionPart{p.Name, p.Arguments}
	if req.legacy {
		return chatDelta{FunctionCall: part}, true
	}
	call := answerCall{Index: &p.Index, ID: p.ID, Function: part}
	if p.ID != "" {
		call.Type = "function"
	}
	return chatDelta{ToolCalls: []answerCall{call}}, true
}

// customDelta returns a custom call that is complete, as a stream has it.
func (req *chatRequest) customDelta(calls []chat.ToolCall, index int) (delta chatDelta, ok bool) {
	if index < 0 || index >= len(calls) || !slices.Contains(req.custom, calls[index].Function.Name) {
		return delta, false
	}
	call := req.wholeCall(calls[index])
	call.Index = &index
	return chatDelta{ToolCalls: []answerCall{call}}, true
}

// addCallPart adds a part to the calls so far. Of a call that the limit cuts, OpenAI's own
// answers have what is there of the arguments.
func addCallPart(calls []chat.ToolCall, p chat.CallPart) []chat.ToolCall {
	if p.Index == len(calls) {
		calls = append(calls, chat.ToolCall{ID: p.ID, Type: "function", Function: chat.FunctionCall{Name: p.Name}})
	}
	calls[p.Index].Function.Arguments += p.Arguments
	return calls
}
