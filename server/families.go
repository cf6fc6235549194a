package server

import (
	"net/http"
	"slices"
	"strings"

	"trit/hub"
	"trit/server/anthropic"
	"trit/server/core"
	"trit/server/llamacpp"
	"trit/server/ollama"
	"trit/server/openai"
	"trit/server/ui"
)

// alsoAt are further paths of endpoints, under which llama-server and vLLM have them.
var alsoAt = map[string]string{
	"GET /models":                         "GET /v1/models",
	"POST /chat/completions":              "POST /v1/chat/completions",
	"POST /responses":                     "POST /v1/responses",
	"POST /chat/completions/input_tokens": "POST /v1/chat/completions/input_tokens",
	"POST /responses/input_tokens":        "POST /v1/responses/input_tokens",
	"POST /embeddings":                    "POST /embedding",
	"GET /v1/health":                      "GET /health",
	"GET /ping":                           "GET /health",
	"POST /ping":                          "GET /health",
}

// otherPaths returns the routes that are at a further path. It panics if there is no such
// route, which every start of the server would show.
func otherPaths(routes []core.Route) []core.Route {
	var others []core.Route
	for pattern, of := range alsoAt {
		i := slices.IndexFunc(routes, func(r core.Route) bool { return r.Pattern == of })
		if i < 0 {
			panic("server: no route " + of + " for " + pattern)
		}
		other := routes[i]
		other.Pattern = pattern
		others = append(others, other)
	}
	return others
}

// modelsFamily tells Anthropic's clients from OpenAI's, whose lists of models have the same
// path.
func modelsFamily(r *http.Request) *core.Family {
	if r.Header.Get("Anthropic-Version") != "" {
		return anthropic.Family
	}
	return openai.Family
}

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
	return llamacpp.Family
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
	return append(routes, core.Route{Pattern: "GET /ui/catalogue", Family: core.PlainFamily, Access: core.AccessOpen,
		Handle: catalogue})
}

// catalogue lists the models that the page offers to download.
func catalogue(w http.ResponseWriter, r *http.Request) error {
	return core.WriteJSON(w, http.StatusOK, map[string]any{"models": hub.Catalogue()})
}
