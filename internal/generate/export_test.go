package generate

// KeepGuess is the rule of acceptance.
var KeepGuess = keepGuess

// SetRule replaces the rule of acceptance.
func (o *Speculation) SetRule(keeps func(u, p, q float64) bool) { o.keeps = keeps }
