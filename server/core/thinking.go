package core

import (
	"maps"
	"strconv"

	"trit"
	"trit/chat"
)

// efforts are the words for how much a model is to think, with the tokens that it may spend where its
// template knows no degrees; 0 is no bound. "none" is no thinking at all.
var efforts = map[string]int{
	"none": 0, "minimal": 512, "low": 2048, "medium": 8192, "high": 0, "xhigh": 0, "max": 0,
}

// SetEffort asks a model to think as much as a word says, in the field of that name. Templates that
// know the word are told it.
func (c *Conversation) SetEffort(field, effort string) error {
	budget, known := efforts[effort]
	if !known {
		return BadRequest(field, "%s is %.40q; want none, minimal, low, medium, high, xhigh or max", field, effort)
	}
	c.ThinkingField, c.ThinkingHint = field, true
	if effort == "none" {
		c.Thinking = trit.ThinkingOff
		return nil
	}
	c.Thinking = trit.ThinkingOn
	c.SetDegree(effort)
	c.effortBudget = budget
	return nil
}

// SetDegree tells the template how much to think, which is up to it.
func (c *Conversation) SetDegree(word string) {
	if _, set := c.Variables[chat.EffortVariable]; set {
		return
	}
	variables := maps.Clone(c.Variables)
	if variables == nil {
		variables = map[string]any{}
	}
	variables[chat.EffortVariable] = word
	c.Variables = variables
}

// SetThinkingBudget bounds the tokens of reasoning, as a field of that name says: −1 is no bound, 0 no
// thinking.
func (c *Conversation) SetThinkingBudget(field string, tokens int) error {
	switch {
	case tokens < -1:
		return BadRequest(field, "%s is %s; want a number of tokens, 0 for no thinking, or -1 for no bound", field,
			strconv.Itoa(tokens))
	case tokens == -1:
		c.unbounded = true
	case tokens == 0:
		c.Thinking, c.ThinkingField = trit.ThinkingOff, field
	default:
		c.ThinkingBudget = tokens
	}
	return nil
}

// completeThinking fills in what the request does not say: how much its effort means to the model, and
// the server's own defaults.
func (l *Lease) completeThinking(c *Conversation) {
	o := l.models.options
	t, _, err := l.Model.ChatTemplate()
	if err != nil {
		return // Prepare says so
	}
	if c.ThinkingBudget == 0 && !c.unbounded && !t.KnowsEffort() {
		c.ThinkingBudget = c.effortBudget
	}
	if c.ThinkingBudget == 0 && !c.unbounded && c.effortBudget == 0 {
		c.ThinkingBudget = o.ThinkingBudget
	}
	told := false
	for name := range chat.AllThinkingVariables() {
		_, set := c.Variables[name]
		told = told || set
	}
	if c.Thinking == trit.ThinkingDefault && !told && (o.Thinking != trit.ThinkingOn || t.CanThink()) {
		c.Thinking = o.Thinking
	}
}
