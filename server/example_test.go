package server_test

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	_ "trit/demo"
	"trit/server"
)

// A server inside another program: its endpoints are an http.Handler.
func Example() {
	s, err := server.New(server.Options{Models: []string{"demo"}})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	web := httptest.NewServer(s.Handler())
	defer web.Close()

	r, err := http.Post(web.URL+"/v1/chat/completions", "application/json", strings.NewReader(
		`{"temperature": 0, "messages": [{"role": "user", "content": "What is the capital of France?"}]}`))
	if err != nil {
		log.Fatal(err)
	}
	defer r.Body.Close()
	var answer struct {
		Choices []struct{ Message struct{ Content string } }
	}
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Choices[0].Message.Content)
	// Output: The capital of France is Paris.
}

// A client of any API that the server speaks, with a model in the same program and no port.
// Libraries such as openai-go take the http.Client as an option.
func ExampleServer_Transport() {
	s, err := server.New(server.Options{Models: []string{"demo"}})
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	client := &http.Client{Transport: s.Transport()}

	r, err := client.Post("http://trit/api/generate", "application/json", strings.NewReader(
		`{"model": "demo", "prompt": "Once upon a time", "raw": true, "stream": false, "options": {"temperature": 0, "num_predict": 6}}`))
	if err != nil {
		log.Fatal(err)
	}
	defer r.Body.Close()
	var answer struct{ Response string }
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Response)
	// Output: , there was a brave girl
}
