package ui_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"

	"trit/server/ui"
)

// The page stands at "/", its files below "/ui/"; the API beside it is somebody else's.
func ExampleHandler() {
	page := ui.Handler()
	mux := http.NewServeMux()
	mux.Handle("GET /{$}", page)
	mux.Handle("GET /ui", page)
	mux.Handle("GET /ui/", page)

	w := httptest.NewRecorder()
	mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Println(w.Code, w.Header().Get("Content-Type"), w.Header().Get("Cache-Control"))
	// Output: 200 text/html; charset=utf-8 no-cache
}
