package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

func readManifests(t *testing.T, name string) (docs []map[string]any) {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc map[string]any
		err := dec.Decode(&doc)
		if err == io.EOF {
			return docs
		}
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		docs = append(docs, doc)
	}
}

// at walks into a document.
func at(doc any, path ...any) any {
	for _, p := range path {
		switch p := p.(type) {
		case string:
			m, _ := doc.(map[string]any)
			doc = m[p]
		case int:
			l, _ := doc.([]any)
			if p >= len(l) {
				return nil
			}
			doc = l[p]
		}
	}
	return doc
}

// TestKubernetesManifests checks that the manifests are YAML, fit together, and
// that the server knows the flags and paths in them.
func TestKubernetesManifests(t *testing.T) {
	folder := filepath.Join("..", "..", "deploy", "kubernetes")
	files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil || len(files) < 7 {
		t.Fatalf("%d manifests, %v", len(files), err)
	}
	objects := map[string]map[string]any{}
	for _, file := range files {
		for _, doc := range readManifests(t, file) {
			kind, _ := doc["kind"].(string)
			if version, _ := doc["apiVersion"].(string); version == "" || kind == "" {
				t.Errorf("%s: an object without apiVersion or kind", file)
			}
			objects[kind] = doc
			if kind == "Kustomization" {
				for _, r := range at(doc, "resources").([]any) {
					if _, err := os.Stat(filepath.Join(folder, r.(string))); err != nil {
						t.Errorf("kustomization: %v", err)
					}
				}
				continue
			}
			if at(doc, "metadata", "name") == nil || at(doc, "metadata", "labels", "app.kubernetes.io/name") != "trit" {
				t.Errorf("%s: %s has no name or label", file, kind)
			}
		}
	}
	deployment := objects["Deployment"]
	container := at(deployment, "spec", "template", "spec", "containers", 0)
	for what, path := range map[string]string{"startupProbe": "/ready", "readinessProbe": "/ready", "livenessProbe": "/health"} {
		if got := at(container, what, "httpGet", "path"); got != path {
			t.Errorf("%s asks for %v", what, got)
		}
	}
	for kind, path := range map[string][]any{
		"Deployment": {"spec", "selector", "matchLabels", "app.kubernetes.io/name"}, "Service": {"spec", "selector", "app.kubernetes.io/name"},
		"InferencePool": {"spec", "selector", "matchLabels", "app.kubernetes.io/name"},
	} {
		if at(objects[kind], path...) != at(deployment, "spec", "template", "metadata", "labels", "app.kubernetes.io/name") {
			t.Errorf("%s selects other pods", kind)
		}
	}
	port := at(container, "ports", 0, "containerPort")
	if at(objects["InferencePool"], "spec", "targetPorts", 0, "number") != port {
		t.Error("the pool has another port")
	}
	if at(container, "volumeMounts", 0, "name") != at(deployment, "spec", "template", "spec", "volumes", 0, "name") ||
		at(deployment, "spec", "template", "spec", "volumes", 0, "persistentVolumeClaim", "claimName") != at(objects["PersistentVolumeClaim"], "metadata", "name") {
		t.Error("the volume is another one")
	}

	var args []string
	for _, arg := range at(container, "args").([]any) {
		args = append(args, arg.(string))
	}
	if args[0] != "serve" || !slices.Contains(args, "--port=8080") || port != 8080 {
		t.Errorf("args %v, port %v", args, port)
	}
	cmd := (&app{}).serveCommand()
	if err := cmd.ParseFlags(args[1:]); err != nil {
		t.Error(err)
	}
	grace, err := cmd.Flags().GetDuration("grace")
	if err != nil {
		t.Fatal(err)
	}
	if limit, _ := at(deployment, "spec", "template", "spec", "terminationGracePeriodSeconds").(int); grace.Seconds() >= float64(limit) {
		t.Errorf("the pod is killed after %d s, within the grace of %s", limit, grace)
	}
}

func TestDockerfile(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "deploy", "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"CGO_ENABLED=0", "FROM scratch", "USER 65532", "HEALTHCHECK", `CMD ["/trit", "health"]`} {
		if !strings.Contains(string(data), want) {
			t.Errorf("%q is missing", want)
		}
	}
	for _, line := range strings.Split(string(data), "\n") {
		if args, ok := strings.CutPrefix(line, "CMD ["); ok {
			var flags []string
			for _, arg := range strings.Split(strings.TrimSuffix(args, "]"), ",") {
				flags = append(flags, strings.Trim(strings.TrimSpace(arg), `"`))
			}
			if err := (&app{}).serveCommand().ParseFlags(flags[1:]); err != nil || flags[0] != "serve" {
				t.Errorf("%s: %v", line, err)
			}
		}
	}
}

func TestHealth(t *testing.T) {
	url, _, stop := startServe(t, "--threads", "1")
	runTrit(t, "health", "--url", url, "--live").expect(t, exitOK, `"ok"`)
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if r := runTrit(t, "health", "--url", url, "--timeout", "1s"); r.code == exitOK {
			break
		}
	}
	runTrit(t, "health", "--url", url).expect(t, exitOK, `"ready"`)
	stop()
	runTrit(t, "health", "--url", url).expect(t, exitFailed, "no answer")
}
