// Package inside lets this module's own programs at what is inside a model of
// the library: the sessions that commands trace and check, the weights that they
// describe. Other programs have no need of it, and the library can change it.
package inside

import (
	"trit/internal/engine"
	"trit/internal/generate"
	"trit/internal/model"
)

// Model is what is inside a *trit.Model.
type Model struct {
	Scheduler *engine.Scheduler
	Weights   *model.Model // file, metadata, configuration, weights
}

// Of returns the inside of a *trit.Model. Package trit sets it: a package that
// is imported here cannot be the one that imports this.
var Of func(m any) Model

// Options returns what options of a generation, a []trit.GenerateOption, come to
// with a *trit.Model: its own recommendations where they say nothing, and the
// constraint that they ask for, compiled. Errors are those that a generation
// would begin with.
var Options func(m, options any) (generate.Options, error)
