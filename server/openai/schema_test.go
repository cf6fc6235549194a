package openai

import (
	"compress/gzip"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"trit/internal/fixtures"
)

// The parts of the published description that answers are checked against, by
// path.
var (
	answerSchemas = map[string]string{
		"/v1/chat/completions": "CreateChatCompletionResponse",
		"/v1/completions":      "CreateCompletionResponse",
		"/v1/embeddings":       "CreateEmbeddingResponse",
		"/v1/models":           "ListModelsResponse",
		"/v1/responses":        "Response",
	}
	chunkSchemas = map[string]string{
		"/v1/chat/completions": "CreateChatCompletionStreamResponse",
		// Pieces of a completion are said to have the form of an answer.
		"/v1/completions": "CreateCompletionResponse",
	}
	eventSchemas = map[string]string{
		"response.created":                       "ResponseCreatedEvent",
		"response.in_progress":                   "ResponseInProgressEvent",
		"response.output_item.added":             "ResponseOutputItemAddedEvent",
		"response.content_part.added":            "ResponseContentPartAddedEvent",
		"response.output_text.delta":             "ResponseTextDeltaEvent",
		"response.output_text.done":              "ResponseTextDoneEvent",
		"response.content_part.done":             "ResponseContentPartDoneEvent",
		"response.output_item.done":              "ResponseOutputItemDoneEvent",
		"response.function_call_arguments.delta": "ResponseFunctionCallArgumentsDeltaEvent",
		"response.function_call_arguments.done":  "ResponseFunctionCallArgumentsDoneEvent",
		"response.completed":                     "ResponseCompletedEvent",
		"response.incomplete":                    "ResponseIncompleteEvent",
		"error":                                  "ResponseErrorEvent",
	}
)

// extract names the schemas that are committed, so that answers are checked
// without the fixtures too: all but those of the responses API, which are large.
var extract = []string{"CreateChatCompletionResponse", "CreateChatCompletionStreamResponse", "CreateCompletionResponse", "CreateEmbeddingResponse", "ListModelsResponse", "Model", "ErrorResponse", "ResponseErrorEvent"}

const extractFile = "testdata/openai.schemas.json"

var update = flag.Bool("update-schemas", false, "write "+extractFile+" anew")

// description is the published description, or its extract.
var description = sync.OnceValues(func() (*openapi3.T, error) {
	root := os.Getenv(fixtures.Env)
	if root == "" {
		return openapi3.NewLoader().LoadFromFile(extractFile)
	}
	f, err := os.Open(filepath.Join(root, "api", "openai.openapi.yaml.gz"))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(z)
	if err != nil {
		return nil, err
	}
	doc, err := openapi3.NewLoader().LoadFromData(data)
	if err != nil {
		return nil, err
	}
	correct(doc)
	return doc, nil
})

// correct mends where the description contradicts what OpenAI's own server
// sends and its own clients expect. The library reads all of the description,
// which is in OpenAPI 3.1; nothing is converted.
func correct(doc *openapi3.T) {
	completion := doc.Components.Schemas["CreateCompletionResponse"].Value
	// The description of stream_options says that pieces have a usage of null. Of
	// the two streams that share it, only the chat's schema does too.
	usage := *completion.Properties["usage"]
	usage.Ref, usage.Value = "", &openapi3.Schema{AllOf: openapi3.SchemaRefs{{Ref: usage.Ref, Value: usage.Value}}, Nullable: true}
	completion.Properties["usage"] = &usage
	choice := completion.Properties["choices"].Value.Items.Value
	// Only the last piece of a stream has a reason to end.
	choice.Properties["finish_reason"].Value.Nullable = true
	// With echo the first token of the prompt has no probability.
	for _, s := range choice.Properties["logprobs"].Value.AnyOf {
		if s.Value.Properties != nil {
			s.Value.Properties["token_logprobs"].Value.Items.Value.Nullable = true
			s.Value.Properties["top_logprobs"].Value.Items.Value.Nullable = true
		}
	}
}

// checkSchema checks a JSON value against a schema of the description.
func checkSchema(t testing.TB, name string, v any) {
	t.Helper()
	if name == "" {
		return
	}
	doc, err := description()
	if err != nil {
		t.Fatal(err)
	}
	schema := doc.Components.Schemas[name]
	if schema == nil {
		if os.Getenv(fixtures.Env) != "" {
			t.Fatalf("the description has no schema %s", name)
		}
		return
	}
	if err := schema.Value.VisitJSON(v, openapi3.VisitAsResponse()); err != nil {
		t.Errorf("%v is no %s: %v", v, name, err)
	}
}

// TestCheckSchema makes sure that wrong answers would be noticed.
func TestCheckSchema(t *testing.T) {
	doc, err := description()
	if err != nil {
		t.Fatal(err)
	}
	good := func() object {
		return object{"id": "x", "object": "chat.completion", "created": 1.0, "model": "m", "choices": []any{object{
			"index": 0.0, "finish_reason": "stop", "logprobs": nil, "message": object{"role": "assistant", "content": "hi", "refusal": nil}}}}
	}
	schema := doc.Components.Schemas["CreateChatCompletionResponse"].Value
	if err := schema.VisitJSON(good()); err != nil {
		t.Error(err)
	}
	for _, spoil := range []func(o object){
		func(o object) { delete(o, "id") },
		func(o object) { o["object"] = "chat" },
		func(o object) { o["created"] = "now" },
		func(o object) { o["choices"].([]any)[0].(object)["finish_reason"] = nil },
		func(o object) { o["choices"].([]any)[0].(object)["message"].(object)["role"] = "user" },
		func(o object) { delete(o["choices"].([]any)[0].(object), "logprobs") },
	} {
		o := good()
		spoil(o)
		if schema.VisitJSON(o) == nil {
			t.Errorf("%v passes", o)
		}
	}
}

// TestExtract compares the committed schemas with the published ones; -update
// writes them.
func TestExtract(t *testing.T) {
	fixtures.Path(t, "api", "openai.openapi.yaml.gz")
	doc, err := description()
	if err != nil {
		t.Fatal(err)
	}
	data, err := doc.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var whole struct {
		Components struct{ Schemas map[string]any }
	}
	if err := json.Unmarshal(data, &whole); err != nil {
		t.Fatal(err)
	}
	schemas := map[string]any{}
	var add func(v any) any
	take := func(name string) {
		if _, there := schemas[name]; !there {
			schemas[name] = nil // references may go in circles
			schemas[name] = add(whole.Components.Schemas[name])
		}
	}
	add = func(v any) any {
		switch v := v.(type) {
		case []any:
			for i := range v {
				v[i] = add(v[i])
			}
		case object:
			for key, value := range v {
				if _, text := value.(string); text && key == "description" || len(key) > 2 && key[:2] == "x-" || key == "example" {
					delete(v, key)
					continue
				}
				const prefix = "#/components/schemas/"
				if ref, is := value.(string); is && key == "$ref" {
					take(ref[len(prefix):])
				}
				v[key] = add(value)
			}
		}
		return v
	}
	for _, name := range extract {
		take(name)
	}
	got, err := json.MarshalIndent(object{
		"openapi": doc.OpenAPI,
		"info":    object{"title": "From the description of the OpenAI API, which is under the MIT licence; descriptions left out", "version": doc.Info.Version},
		"paths":   object{}, "components": object{"schemas": schemas},
	}, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	got = append(got, '\n')
	if *update {
		if err := os.WriteFile(extractFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(extractFile)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s is not what the published description says; run this test with -update", extractFile)
	}
}
