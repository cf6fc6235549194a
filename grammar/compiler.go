package grammar

import (
	"context"

	"trit/internal/work"
)

// A Compiler compiles grammars until its context ends; the error is then the context's. The functions of this package
// that its methods are named after have no context, and end because their work is bounded, to about a second.
type Compiler struct{ ctx context.Context }

// Until returns a compiler that works until ctx ends.
func Until(ctx context.Context) Compiler { return Compiler{ctx} }

// meter counts the work of one compilation.
func (c Compiler) meter() *meter { return work.NewMeter(c.ctx, maxCompileWork) }
