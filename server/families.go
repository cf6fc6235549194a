package server

import (
	"net/http"
	"strings"

	"trit/server/anthropic"
	"trit/server/core"
	"trit/server/ollama"
	"trit/server/openai"
	"trit/server/ui"
)

// pathFamily guesses what a client expects that asks for something that is not
// there.
func pathFamily(path string) *core.Family {
	switch {
	case strings.HasPrefix(path, "/api/"):
		return ollama.Family
	case path == "/v1/messages" || strings.HasPrefix(path, "/v1/messages/"):
		return anthropic.Family
	case strings.HasPrefix(path, "/v1/"):
		return openai.Family
	}
	return core.PlainFamily
}

// pageRoutes serve the web page.
func pageRoutes() []core.Route {
	page := ui.Handler()
	handle := func(w http.ResponseWriter, r *http.Request) error {
		page.ServeHTTP(w, r)
		return nil
	}
	var routes []core.Route
	for _, pattern := range []string{"GET /{$}", "GET /ui", "GET /ui/"} {
		routes = append(routes, core.Route{Pattern: pattern, Family: core.PlainFamily, Access: core.AccessOpen,
			Handle: handle})
	}
	return routes
}
