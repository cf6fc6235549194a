package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestMonitoring: the dashboard and the alerts ask for metrics that the server has, with the labels that they have.
func TestMonitoring(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "server", "testdata", "metrics.txt"))
	if err != nil {
		t.Fatal(err)
	}
	labels := map[string][]string{} // of each metric
	for line := range strings.Lines(string(data)) {
		if fields := strings.Fields(line); len(fields) > 2 {
			labels[fields[0]] = strings.Split(strings.Trim(fields[2], "{}"), ",")
		}
	}
	folder := filepath.Join("..", "..", "deploy", "helm", "trit", "files")
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	text, err := os.ReadFile(filepath.Join(folder, "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if text, err = os.ReadFile(filepath.Join(folder, "alerts.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &rules); err != nil {
		t.Fatal(err)
	}
	queries := map[string][]string{}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			queries[p.Title] = append(queries[p.Title], target.Expr)
		}
	}
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			queries[r.Alert] = append(queries[r.Alert], r.Expr)
		}
	}
	if len(queries) < 15 {
		t.Fatalf("only %d panels and alerts were found", len(queries))
	}
	metric := regexp.MustCompile(`\b(trit_[a-z_]+)(?:\{([^}]*)\})?`)
	label := regexp.MustCompile(`(\w+)(?:=|!)`)
	for where, list := range queries {
		for _, query := range list {
			found := metric.FindAllStringSubmatch(query, -1)
			if len(found) == 0 || strings.Count(query, "(") != strings.Count(query, ")") {
				t.Errorf("%s: %s", where, query)
			}
			for _, m := range found {
				has, ok := labels[strings.TrimSuffix(m[1], "_bucket")]
				if !ok {
					t.Errorf("%s: there is no metric %s", where, m[1])
				}
				for _, l := range label.FindAllStringSubmatch(m[2], -1) {
					if l[1] != "instance" && !slices.Contains(has, l[1]) {
						t.Errorf("%s: %s has no label %s", where, m[1], l[1])
					}
				}
			}
		}
	}
}
