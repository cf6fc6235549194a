package server

import (
	"context"
	"errors"
	"net/http"
)

func (s *Server) guard(rt *route) http.Handler { return rt.handler() }

func noteFailure(r *http.Request, e *apiError) {}

func isTimeout(ctx context.Context) bool { return errors.Is(ctx.Err(), context.DeadlineExceeded) }
