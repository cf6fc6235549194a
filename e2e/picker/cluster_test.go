package picker

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"
)

const (
	poolGroup = "inference.networking.k8s.io"
	poolsPath = "/apis/" + poolGroup + "/v1/namespaces/default/inferencepools"
	podsPath  = "/api/v1/namespaces/default/pods"
)

// object is anything that an API server knows.
type object = map[string]any

// cluster is an API server with one pool and pods, none of which ever changes. It returns a file that tells clients
// where it is.
func cluster(t *testing.T, port int, addresses []string) (kubeconfig string) {
	pool := poolOf(t, port)
	lists := map[string]object{
		poolsPath: {"apiVersion": poolGroup + "/v1", "kind": "InferencePoolList", "items": []any{pool}},
		podsPath:  {"apiVersion": "v1", "kind": "PodList", "items": podsOf(pool, addresses)},
	}
	for _, list := range lists {
		list["metadata"] = object{"resourceVersion": "1"}
	}
	versions := []any{object{"groupVersion": poolGroup + "/v1", "version": "v1"}}
	groups := []any{object{"name": poolGroup, "versions": versions}}
	discovery := map[string]object{
		"/api":                       {"kind": "APIVersions", "versions": []any{"v1"}},
		"/apis":                      {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups},
		"/api/v1":                    resources("v1", "pods", "Pod"),
		"/apis/" + poolGroup + "/v1": resources(poolGroup+"/v1", "inferencepools", "InferencePool"),
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		list, known := lists[r.URL.Path]
		answer := discovery[r.URL.Path]
		switch {
		case known && r.URL.Query().Get("watch") == "true":
			watch(w, r, list)
			return
		case known:
			answer = list
		case answer == nil:
			w.WriteHeader(http.StatusNotFound)
			answer = object{"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "NotFound",
				"code": http.StatusNotFound}
		}
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(answer); err != nil {
			t.Errorf("the API server cannot answer: %v", err)
		}
	}))
	t.Cleanup(server.Close)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	config := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "x",
		"contexts": [{"name": "x", "context": {"cluster": "x"}}],
		"clusters": [{"name": "x", "cluster": {"server": %q}}]}`, server.URL)
	if err := os.WriteFile(kubeconfig, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return kubeconfig
}

// watch sends what there is, if that is asked for, and then nothing.
func watch(w http.ResponseWriter, r *http.Request, list object) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	if r.URL.Query().Get("sendInitialEvents") == "true" {
		var first object
		for _, item := range list["items"].([]any) {
			first = item.(object)
			_ = encoder.Encode(object{"type": "ADDED", "object": item}) // or the client is gone
		}
		end := object{"resourceVersion": "1", "annotations": object{"k8s.io/initial-events-end": "true"}}
		_ = encoder.Encode(object{"type": "BOOKMARK", "object": object{
			"apiVersion": first["apiVersion"], "kind": first["kind"], "metadata": end}})
	}
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

func resources(version, name, kind string) object {
	return object{"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": []any{
		object{"name": name, "kind": kind, "namespaced": true, "verbs": []any{"get", "list", "watch"}}}}
}

// poolOf reads the pool that we ship. Its port is that of the replicas here.
func poolOf(t *testing.T, port int) object {
	text, err := os.ReadFile(filepath.Join("..", "..", "deploy", "kubernetes", "inferencepool.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ = bytes.Cut(text, []byte("\n---\n"))
	var pool object
	if err := yaml.UnmarshalStrict(text, &pool); err != nil || pool["kind"] != "InferencePool" {
		t.Fatalf("%v: %v", pool["kind"], err)
	}
	metadata := pool["metadata"].(object)
	metadata["namespace"], metadata["uid"], metadata["resourceVersion"] = "default", "pool", "1"
	pool["spec"].(object)["targetPorts"] = []any{object{"number": port}}
	return pool
}

// podsOf returns a ready pod that the pool selects for each address.
func podsOf(pool object, addresses []string) (pods []any) {
	labels := pool["spec"].(object)["selector"].(object)["matchLabels"]
	for i, address := range addresses {
		name := fmt.Sprintf("trit-%d", i)
		pods = append(pods, object{
			"apiVersion": "v1", "kind": "Pod",
			"metadata": object{"name": name, "namespace": "default", "uid": name, "resourceVersion": "1", "labels": labels},
			"spec":     object{"containers": []any{object{"name": "trit", "image": "trit"}}},
			"status": object{"phase": "Running", "podIP": address, "podIPs": []any{object{"ip": address}},
				"conditions": []any{object{"type": "Ready", "status": "True"}}},
		})
	}
	return pods
}
