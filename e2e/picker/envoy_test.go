package picker

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extproc "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

// endpointHeader is where the picker says where a request is to go.
const endpointHeader = "x-gateway-destination-endpoint"

// envoy asks a picker, and sends requests where it says.
type envoy struct {
	picker extproc.ExternalProcessorClient
}

func newEnvoy(t *testing.T, address string) *envoy {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := connection.Close(); err != nil {
			t.Error(err)
		}
	})
	return &envoy{extproc.NewExternalProcessorClient(connection)}
}

// send takes a request for chat completions through the picker to a replica, and the answer back through the picker.
// It returns the replica's address.
func (e *envoy) send(ctx context.Context, body string) (endpoint, answer string, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel() // also of what the picker has not read
	stream, err := e.picker.Process(ctx)
	if err != nil {
		return "", "", err
	}
	for _, r := range []*extproc.ProcessingRequest{
		{Request: &extproc.ProcessingRequest_RequestHeaders{
			RequestHeaders: headers(":method", "POST", ":path", "/v1/chat/completions", "content-type", "application/json")}},
		{Request: &extproc.ProcessingRequest_RequestBody{RequestBody: whole(body)}},
	} {
		if err := stream.Send(r); err != nil {
			return "", "", err
		}
	}
	if endpoint, body, err = routed(stream); err != nil {
		return "", "", err
	}
	if answer, err = post(ctx, endpoint, body); err != nil {
		return endpoint, "", err
	}
	for _, r := range []*extproc.ProcessingRequest{
		{Request: &extproc.ProcessingRequest_ResponseHeaders{
			ResponseHeaders: headers(":status", "200", "content-type", "application/json")}},
		{Request: &extproc.ProcessingRequest_ResponseBody{ResponseBody: whole(answer)}},
	} {
		if err := stream.Send(r); err != nil {
			return "", "", err
		}
	}
	if err := stream.CloseSend(); err != nil {
		return "", "", err
	}
	for {
		if _, err := stream.Recv(); err == io.EOF {
			return endpoint, answer, nil
		} else if err != nil {
			return "", "", err
		}
	}
}

// routed reads what the picker makes of a request: where it goes, and its body.
func routed(stream extproc.ExternalProcessor_ProcessClient) (endpoint, body string, err error) {
	for {
		r, err := stream.Recv()
		if err != nil {
			return "", "", fmt.Errorf("the picker: %w", err)
		}
		switch r := r.Response.(type) {
		case *extproc.ProcessingResponse_ImmediateResponse:
			return "", "", fmt.Errorf("the picker refuses: %v", r.ImmediateResponse)
		case *extproc.ProcessingResponse_RequestHeaders:
			for _, h := range r.RequestHeaders.Response.GetHeaderMutation().GetSetHeaders() {
				if h.Header.Key == endpointHeader {
					endpoint = string(h.Header.RawValue)
				}
			}
		case *extproc.ProcessingResponse_RequestBody:
			piece := r.RequestBody.Response.GetBodyMutation().GetStreamedResponse()
			if body += string(piece.GetBody()); piece.GetEndOfStream() {
				if endpoint == "" || strings.Contains(endpoint, ",") {
					return "", "", fmt.Errorf("the picker names the endpoints %q, want one", endpoint)
				}
				return endpoint, body, nil
			}
		}
	}
}

// headers takes names and values in turn.
func headers(pairs ...string) *extproc.HttpHeaders {
	var list []*core.HeaderValue
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, &core.HeaderValue{Key: pairs[i], RawValue: []byte(pairs[i+1])})
	}
	return &extproc.HttpHeaders{Headers: &core.HeaderMap{Headers: list}}
}

// whole is a body in one piece.
func whole(text string) *extproc.HttpBody {
	return &extproc.HttpBody{Body: []byte(text), EndOfStream: true}
}

// post sends a request to a replica.
func post(ctx context.Context, endpoint, body string) (answer string, err error) {
	url := "http://" + endpoint + "/v1/chat/completions"
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		return "", err
	}
	r.Header.Set("Content-Type", "application/json")
	w, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer w.Body.Close()
	text, err := io.ReadAll(w.Body)
	if err == nil && w.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s answers %s: %s", endpoint, w.Status, text)
	}
	return string(text), err
}
