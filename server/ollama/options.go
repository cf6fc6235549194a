package ollama

import (
	"net/http"

	"trit"
	"trit/hub"
	"trit/sample"
	"trit/server/core"
	"trit/tokenizer"
)

// optionFields are the options of a request.
type optionFields struct {
	core.Sampling
	NumPredict *int           `json:"num_predict"` // 0 and less: to the end of the context
	NumCtx     *int           `json:"num_ctx"`
	Stop       core.StopField `json:"stop"`
	LogitBias  core.LogitBias `json:"logit_bias"`
}

// generation is what options mean for one model.
type generation struct {
	options []trit.GenerateOption
	context int // tokens of prompt and answer together
	predict int // tokens of the answer; 0: as many as fit
}

// generation checks the options and translates them. logProbs asks for the
// probabilities of the tokens, and of the top most likely ones. The client is told what
// is left out.
func (o *optionFields) generation(r *http.Request, l *core.Lease, logProbs bool, top int) (*generation, error) {
	g := &generation{context: l.Model.Context()}
	if n, ok := l.Model.Derived().Number(hub.ParameterContext); ok && n >= 1 {
		g.context = int(min(float64(g.context), n))
	}
	if o.NumCtx != nil && *o.NumCtx > 0 {
		// Clients set it to what they would like at most.
		if *o.NumCtx > l.Model.Context() {
			core.SayIgnored(r, []string{"options.num_ctx"})
		}
		g.context = min(l.Model.Context(), *o.NumCtx)
	}
	g.predict = max(core.ValueOr(o.NumPredict, int(l.Limit())), 0)
	if top < 0 || top > 20 {
		return nil, core.BadRequest("top_logprobs", "top_logprobs must be between 0 and 20")
	}
	sampling, err := o.Sampling.Options(r.Context(), l.Model)
	if err != nil {
		return nil, err
	}
	if sampling.LogitBias, err = o.LogitBias.Resolve(r.Context(), l.Model.Tokenizer()); err != nil {
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
func (g *generation) reserve() int {
	if g.predict > 0 {
		return min(g.predict, g.context/2)
	}
	return g.context / 4
}

// bound returns the option that keeps the answer to a prompt within its limits.
func (g *generation) bound(prompt int) (trit.GenerateOption, error) {
	room := g.context - prompt
	if room <= 0 {
		return nil, core.TooLong("", errPromptTooLong(prompt, g.context), prompt, g.context)
	}
	if g.predict > 0 {
		room = min(room, g.predict)
	}
	return trit.MaxTokens(room), nil
}

// tokenLogprobs is what Ollama says of one token.
type tokenLogprobs struct {
	tokenLogprob
	Top []tokenLogprob `json:"top_logprobs,omitempty"`
}

type tokenLogprob struct {
	Token   string  `json:"token"`
	Logprob float64 `json:"logprob"`
	Bytes   []int   `json:"bytes,omitempty"`
}

// newTokenLogprobs describes a generated token.
func newTokenLogprobs(tok *tokenizer.Tokenizer, t trit.Token) tokenLogprobs {
	one := func(p sample.TokenLogProb) tokenLogprob {
		text, codes := core.TokenText(tok, p.ID)
		return tokenLogprob{Token: text, Logprob: core.JSONLogProb(p.LogProb), Bytes: codes}
	}
	out := tokenLogprobs{tokenLogprob: one(sample.TokenLogProb{ID: t.ID, LogProb: t.LogProb})}
	for _, p := range t.Top {
		out.Top = append(out.Top, one(p))
	}
	return out
}
