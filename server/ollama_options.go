package server

import (
	"trit"
	"trit/sample"
)

// ollamaOptions are the options of a request. Those that say how Ollama's
// runner uses the machine, such as num_thread and num_gpu, mean nothing here and
// are ignored like all that this does not have.
type ollamaOptions struct {
	llamaSampling
	NumPredict *int       `json:"num_predict"` // 0 and less: to the end of the context
	NumCtx     *int       `json:"num_ctx"`
	Stop       stringList `json:"stop"`
	TFSZ       *float64   `json:"tfs_z"`
	LogitBias  llamaBias  `json:"logit_bias"`
}

// ollamaGeneration is what options mean for one model.
type ollamaGeneration struct {
	options []trit.GenerateOption
	stops   []string
	context int // tokens of prompt and answer together
	predict int // tokens of the answer; 0: as many as fit
}

// generation checks the options and translates them. logProbs asks for the
// probabilities of the tokens, and of the top most likely ones.
func (o *ollamaOptions) generation(l *lease, logProbs bool, top int) (*ollamaGeneration, error) {
	g := &ollamaGeneration{context: l.Model.Scheduler().Engine().Context(), stops: o.Stop}
	if o.NumCtx != nil && *o.NumCtx > 0 {
		if *o.NumCtx > g.context {
			return nil, badRequest("options.num_ctx", "num_ctx is %d, and this server runs the model with a context of %d tokens; leave num_ctx out, or start the server with a larger --ctx-size", *o.NumCtx, g.context)
		}
		g.context = *o.NumCtx
	}
	if o.NumPredict != nil {
		g.predict = max(*o.NumPredict, 0)
	}
	if o.TFSZ != nil && *o.TFSZ != 1 {
		return nil, unsupported("options.tfs_z", "tail-free sampling is not supported; leave tfs_z out, and use min_p or typical_p")
	}
	if top < 0 || top > 20 {
		return nil, badRequest("top_logprobs", "top_logprobs must be between 0 and 20")
	}
	sampling, err := o.llamaSampling.options(l.Model)
	if err != nil {
		return nil, err
	}
	if sampling.LogitBias, err = o.LogitBias.resolve(l.Model.Tokenizer()); err != nil {
		return nil, err
	}
	if logProbs {
		sampling.LogProb, sampling.TopLogProbs = true, top
	}
	g.options = []trit.GenerateOption{trit.Sampling(sampling), trit.Stop(o.Stop...)}
	return g, nil
}

// reserve is how much of the context a conversation that has to be cut leaves to
// the answer.
func (g *ollamaGeneration) reserve() int {
	if g.predict > 0 {
		return min(g.predict, g.context/2)
	}
	return g.context / 4
}

// bound returns the option that keeps the answer to a prompt within its limits.
func (g *ollamaGeneration) bound(prompt int) (trit.GenerateOption, error) {
	room := g.context - prompt
	if room <= 0 {
		return nil, &apiError{status: 400, code: "context_length_exceeded",
			message: errPromptTooLong(prompt, g.context)}
	}
	if g.predict > 0 {
		room = min(room, g.predict)
	}
	return trit.MaxTokens(room), nil
}

// ollamaLogprob is what Ollama says of one token.
type ollamaLogprob struct {
	ollamaTokenLogprob
	Top []ollamaTokenLogprob `json:"top_logprobs,omitempty"`
}

type ollamaTokenLogprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes,omitempty"`
}

// logprob describes a generated token.
func (l *lease) logprob(t trit.Token) ollamaLogprob {
	one := func(p sample.TokenLogProb) ollamaTokenLogprob {
		text, codes := tokenText(l.Model.Tokenizer(), p.ID)
		return ollamaTokenLogprob{Token: text, Logprob: finite(p.LogProb), Bytes: codes}
	}
	out := ollamaLogprob{ollamaTokenLogprob: one(sample.TokenLogProb{ID: t.ID, LogProb: t.LogProb})}
	for _, p := range t.Top {
		out.Top = append(out.Top, one(p))
	}
	return out
}
