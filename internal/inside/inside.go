// Package inside lets this module's own programs at what is inside a model of
// the library: the sessions that commands trace and check, the weights that they
// describe. Other programs have no need of it, and the library can change it.
package inside

import (
	"trit/internal/engine"
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
