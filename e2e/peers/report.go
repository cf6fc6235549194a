package main

import (
	"fmt"
	"html"
	"math"
	"slices"
	"strings"
)

// A metric is a line of the table.
type metric struct {
	name  string
	lower bool // less is better
}

var (
	prompt     = metric{name: "prompt, tokens/s"}
	decode     = metric{name: "generating, tokens/s"}
	batch      = metric{name: "several sequences at once, tokens/s"}
	served     = metric{name: "server, all clients, tokens/s"}
	firstToken = metric{name: "server, first token p50, ms", lower: true}
	between    = metric{name: "server, between tokens p50, ms", lower: true}
	between99  = metric{name: "server, between tokens p99, ms", lower: true}
	startUp    = metric{name: "server, start to first token, s", lower: true}
	memory     = metric{name: "server, peak memory with mapped file, MB", lower: true}
	one        = metric{name: "one token, from start to end, s", lower: true}
	oneMemory  = metric{name: "one token, peak memory with mapped file, MB", lower: true}
	size       = metric{name: "file, MB", lower: true}
)

// deep is what generating after so many tokens is measured as.
func deep(depth int, kvType string) metric {
	return metric{name: fmt.Sprintf("generating after %d tokens, KV in %s, tokens/s", depth, kvType)}
}

// metrics are all lines that a table may have.
func (c config) metrics() []metric {
	all := []metric{prompt, decode}
	for _, kv := range c.kvTypes {
		for _, d := range c.depths {
			all = append(all, deep(d, kv))
		}
	}
	return append(all, batch, served, firstToken, between, between99, startUp, memory, one, oneMemory, size)
}

// results are the samples of a run.
type results struct {
	config  config
	peers   []string
	samples map[string]map[metric][]float64 // by peer

	read, int8 []float64 // the machine's limits, GB/s and G multiply-accumulates/s
}

func newResults(c config, peers []peer) *results {
	r := &results{config: c, samples: map[string]map[metric][]float64{}}
	for _, p := range peers {
		r.peers = append(r.peers, p.name)
		r.samples[p.name] = map[metric][]float64{}
	}
	return r
}

func (r *results) add(peer string, m metric, v float64) {
	r.samples[peer][m] = append(r.samples[peer][m], v)
}

// quantile returns the value that a share q of v does not exceed; v is sorted.
func quantile(v []float64, q float64) float64 {
	if len(v) == 0 {
		return math.NaN()
	}
	slices.Sort(v)
	return v[max(0, int(math.Ceil(q*float64(len(v))))-1)]
}

// ratio returns how many times better Trit is than the best peer.
func (r *results) ratio(m metric) (float64, bool) {
	own := r.samples[r.peers[0]][m]
	best := math.NaN()
	for _, p := range r.peers[1:] {
		if v := r.samples[p][m]; len(v) > 0 {
			x := quantile(v, .5)
			if math.IsNaN(best) || (x < best) == m.lower {
				best = x
			}
		}
	}
	if len(own) == 0 || math.IsNaN(best) {
		return 0, false
	}
	if m.lower {
		return best / quantile(own, .5), true
	}
	return quantile(own, .5) / best, true
}

// table returns the results in Markdown: medians, and ranges in brackets.
func (r *results) table() string {
	var b strings.Builder
	c := r.config
	fmt.Fprintf(&b, "%s, %s, %d threads, prompt %d, %d tokens generated", c.shape, c.typ, c.threads, c.prompt, c.generate)
	if c.clients > 0 {
		fmt.Fprintf(&b, ", %d sequences and clients, %d tokens each", c.clients, c.answer)
	}
	fmt.Fprintf(&b, ", %d rounds; %s\n\n", c.rounds, r.machine())
	fmt.Fprintf(&b, "| measured | %s | Trit ÷ the best other |\n|---|%s---:|\n", strings.Join(r.peers, " | "), strings.Repeat("---:|", len(r.peers)))
	for _, m := range c.metrics() {
		var cells []string
		found := false
		for _, p := range r.peers {
			v := r.samples[p][m]
			cells = append(cells, spread(v))
			found = found || len(v) > 0
		}
		if !found {
			continue
		}
		last := "–"
		if x, ok := r.ratio(m); ok {
			last = fmt.Sprintf("%.2f", x)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", m.name, strings.Join(cells, " | "), last)
	}
	return b.String()
}

// machine says what the limits were.
func (r *results) machine() string {
	return fmt.Sprintf("the machine reads %s GB/s and does %s G int8 multiply-accumulates/s", spread(r.read), spread(r.int8))
}

// spread writes the median and the range of v.
func spread(v []float64) string {
	switch len(v) {
	case 0:
		return "–"
	case 1:
		return short(v[0])
	}
	return fmt.Sprintf("%s (%s–%s)", short(quantile(v, .5)), short(slices.Min(v)), short(slices.Max(v)))
}

// short writes three digits or more.
func short(x float64) string {
	switch {
	case x >= 100:
		return fmt.Sprintf("%.0f", x)
	case x >= 10:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.2f", x)
}

// svg draws a bar for each median, and how many times better Trit's is than the best other.
func (r *results) svg() string {
	const bar, gap, left, width = 16, 6, 160, 760
	var b strings.Builder
	y := 72
	for _, m := range r.config.metrics() {
		if len(r.samples[r.peers[0]][m]) == 0 {
			continue
		}
		most := 0.0
		for _, p := range r.peers {
			if v := r.samples[p][m]; len(v) > 0 {
				most = max(most, quantile(v, .5))
			}
		}
		title := m.name
		if m.lower {
			title += " (less is better)"
		}
		if x, ok := r.ratio(m); ok {
			title += fmt.Sprintf(": %.2f ×", x)
		}
		fmt.Fprintf(&b, `<text x="10" y="%d" font-weight="600">%s</text>`+"\n", y+13, html.EscapeString(title))
		y += bar + gap
		for i, p := range r.peers {
			v := r.samples[p][m]
			if len(v) == 0 {
				continue
			}
			x := quantile(v, .5)
			colour := "#8a919c"
			if i == 0 {
				colour = "#0b66c3"
			}
			fmt.Fprintf(&b, `<text x="%d" y="%d" text-anchor="end">%s</text><rect x="%d" y="%d" width="%.0f" height="%d" fill="%s"/>`+
				`<text x="%.0f" y="%d">%s</text>`+"\n", left-8, y+13, html.EscapeString(p), left, y, max(1, x/most*(width-left-90)), bar, colour,
				left+x/most*(width-left-90)+6, y+13, short(x))
			y += bar + gap
		}
		y += gap
	}
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" font-family="system-ui,sans-serif" font-size="13">`+
		`<title>%s</title><rect width="100%%" height="100%%" fill="#fff"/><text x="10" y="28" font-size="16" font-weight="600">%s</text>`+
		`<text x="10" y="50">%s</text>`+"\n%s</svg>\n", width, y+10, html.EscapeString(r.config.shape),
		html.EscapeString(fmt.Sprintf("%s, %d threads", r.config.shape, r.config.threads)), html.EscapeString(r.machine()), b.String())
}
