package openai

import (
	"cmp"
	"encoding/json"
	"math"
	"strings"

	"trit"
	"trit/internal/order"
	"trit/server/core"
)

// textBuilder makes text completions of what happens to prompts: the chunks of a
// stream and the whole answer.
type textBuilder struct {
	request *completionRequest
	jobs    []*completionJob
	out     *core.Reply
	chunk   textReply[textChoice] // what all chunks have in common
	choices [][]textChoiceBuilder // of every prompt
	// last is the end of a choice, which is held back as the very last one has the
	// timings.
	last *textChoice
}

// textChoiceBuilder is a choice in the making.
type textChoiceBuilder struct {
	text     strings.Builder
	writer   *textLogProbsWriter // nil if no probabilities are wanted
	logProbs *textLogProbs       // those of the whole choice
	sum      float64             // of the log-probabilities
	tokens   int
	finish   string
	prompt   []map[string]promptLogProb
}

func newTextBuilder(req *completionRequest, jobs []*completionJob, out *core.Reply) *textBuilder {
	b := &textBuilder{request: req, jobs: jobs, out: out, choices: make([][]textChoiceBuilder, len(jobs)),
		chunk: newReply[textChoice](jobs[0].Model, core.NewID("cmpl-"), "text_completion")}
	if b.wantsUsage() {
		b.chunk.Usage = json.RawMessage("null")
	}
	for i, j := range jobs {
		b.choices[i] = make([]textChoiceBuilder, j.Choices)
		if req.LogProbs == nil {
			continue
		}
		special := req.SkipSpecialTokens != nil && !*req.SkipSpecialTokens
		for k := range b.choices[i] {
			b.choices[i][k].writer = newTextLogProbsWriter(j.Model.Model.Tokenizer(), special, !core.IsTrue(req.Echo))
			b.choices[i][k].logProbs = newTextLogProbs()
		}
	}
	return b
}

func (b *textBuilder) wantsUsage() bool {
	return b.request.StreamOptions != nil && b.request.StreamOptions.IncludeUsage
}

// progress sends how far a prompt is.
func (b *textBuilder) progress(prompt int, p *core.PromptProgress) error {
	chunk := b.chunk
	chunk.Choices, chunk.Progress = []textChoice{{Index: prompt * len(b.choices[prompt])}}, p
	return b.out.Piece("", chunk)
}

// Add takes what has happened to a prompt.
func (b *textBuilder) Add(e textEvent) error {
	choices, model := b.choices[e.prompt], b.jobs[e.prompt].Model
	if e.echo == nil {
		c := &choices[e.token.Index]
		c.add(&e.token, !b.request.ends(model, &e.token))
		return b.send(e, e.token.Index, e.token.Text)
	}
	for i := range choices {
		c := &choices[i]
		if b.request.PromptLogProbs != nil {
			c.prompt = promptLogProbs(model.Model.Tokenizer(), e.echo.scored)
		}
		if !core.IsTrue(b.request.Echo) {
			continue
		}
		if c.writer != nil {
			e.echo.logProbs(c.writer, *b.request.LogProbs)
		}
		if err := b.send(e, i, e.echo.text); err != nil {
			return err
		}
	}
	return nil
}

// add takes a token of the choice; part says that it is part of the text and not
// what ended it.
func (c *textChoiceBuilder) add(t *trit.Token, part bool) {
	c.finish = finishReason(t.Finish, false)
	if t.ID == core.NoToken {
		return
	}
	c.tokens++
	c.sum += t.LogProb
	if c.writer != nil && part {
		c.writer.add(t.ID, t.LogProb, t.Top, false)
	}
}

// send adds text to a choice of the prompt that an event is about.
func (b *textBuilder) send(e textEvent, index int, text string) error {
	choices := b.choices[e.prompt]
	c := &choices[index]
	c.text.WriteString(text)
	if text == "" && c.finish == "" {
		return nil
	}
	if err := b.flush(nil); err != nil {
		return err
	}
	piece := &textChoice{Index: e.prompt*len(choices) + index, Text: text, LogProbs: c.take()}
	b.last = piece
	if c.finish == "" {
		return b.flush(e.timings)
	}
	piece.FinishReason = &c.finish
	return nil
}

// take returns the probabilities that no chunk has had yet, nil if there are
// none.
func (c *textChoiceBuilder) take() *textLogProbs {
	if c.writer == nil {
		return nil
	}
	fresh := c.writer.take()
	if fresh != nil {
		c.logProbs.append(fresh)
	}
	return fresh
}

// flush sends the end of a choice, if one is held back.
func (b *textBuilder) flush(t *timings) error {
	if b.last == nil {
		return nil
	}
	chunk := b.chunk
	chunk.Choices, chunk.Timings = []textChoice{*b.last}, t
	b.last = nil
	return b.out.Piece("", chunk)
}

// End sends the end of the stream.
func (b *textBuilder) End() (any, error) {
	stats := sumStats(b.jobs)
	if err := b.flush(newTimings(stats)); err != nil {
		return nil, err
	}
	if b.wantsUsage() {
		chunk := b.chunk
		chunk.Usage = newUsage(stats)
		if err := b.out.Piece("", chunk); err != nil {
			return nil, err
		}
	}
	whole := b.chunk
	for _, choices := range b.choices {
		for _, k := range bestChoices(choices, core.ValueOr(b.request.N, 1)) {
			c := &choices[k]
			c.take()
			whole.Choices = append(whole.Choices, textChoice{
				Index: len(whole.Choices), Text: c.text.String(), FinishReason: &c.finish, LogProbs: c.logProbs,
				PromptLogProbs: c.prompt})
		}
	}
	whole.Usage, whole.Timings = newUsage(stats), newTimings(stats)
	return whole, b.out.Done()
}

// Fail ends the stream with an error.
func (b *textBuilder) Fail(e *core.Error) error { return b.out.Piece("", newErrorReply(e)) }

// bestChoices returns the indexes of the n choices whose tokens are the most
// likely on average, the best first, or all in their order if there are only n.
func bestChoices(choices []textChoiceBuilder, n int) []int {
	ranks := make([]int, len(choices))
	for i := range ranks {
		ranks[i] = i
	}
	if len(choices) <= n {
		return ranks
	}
	mean := func(i int) float64 {
		if choices[i].tokens == 0 {
			return math.Inf(-1)
		}
		return choices[i].sum / float64(choices[i].tokens)
	}
	order.Stable(ranks, func(i, k int) int { return cmp.Compare(mean(k), mean(i)) })
	return ranks[:n]
}

// sumStats adds the counts and times of all jobs.
func sumStats(jobs []*completionJob) *trit.Stats {
	sum := new(trit.Stats)
	for _, j := range jobs {
		sum.PromptTokens += j.Stats.PromptTokens
		sum.CachedTokens += j.Stats.CachedTokens
		sum.GeneratedTokens += j.Stats.GeneratedTokens
		sum.GuessedTokens += j.Stats.GuessedTokens
		sum.AcceptedTokens += j.Stats.AcceptedTokens
		sum.PromptTime += j.Stats.PromptTime
		sum.GenerateTime += j.Stats.GenerateTime
	}
	return sum
}
