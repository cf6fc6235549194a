package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// kvNames has llama.cpp's names of Trit's types of the KV cache.
var kvNames = map[string]string{"f16": "f16", "int8": "q8_0", "q4": "q4_0"}

// measure takes one sample of everything that the peer can do.
func (p *peer) measure(ctx context.Context, c config, r *results) error {
	file, err := os.Stat(p.model)
	if err != nil {
		return err
	}
	r.add(p.name, size, float64(file.Size())/1e6)
	steps := []struct {
		part string
		can  bool
		do   func(context.Context, config, *results) error
	}{
		{"speed", p.bench != "", p.measureBench},
		{"depth", p.batched != "" && len(c.depths) > 0, p.measureDepth},
		{"batch", p.batched != "" && c.clients > 0, p.measureBatch},
		{"start", true, p.measureStart},
		{"server", c.clients > 0, p.measureServer},
	}
	if p.name == r.peers[0] {
		if err := p.measureTrit(ctx, c, r); err != nil {
			return err
		}
	}
	for _, s := range steps {
		if c.has(s.part) && s.can {
			if err := s.do(ctx, c, r); err != nil {
				return err
			}
		}
	}
	return nil
}

// command is a program with arguments of its own, which follow its path after commas.
func command(ctx context.Context, program string, args ...string) *exec.Cmd {
	words := strings.Split(program, ",")
	return exec.CommandContext(ctx, words[0], slices.Concat(words[1:], args)...)
}

// output runs a program and returns what it printed; its messages are part of the error.
func output(ctx context.Context, program string, args ...string) ([]byte, error) {
	return outputOf(command(ctx, program, args...))
}

func outputOf(cmd *exec.Cmd) ([]byte, error) {
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil {
		text := messages.String()
		return nil, fmt.Errorf("%s: %w\n%s", cmd, err, text[max(0, len(text)-2000):])
	}
	return out.Bytes(), nil
}

// measureTrit measures what one process of trit bench can, and the machine's limits with it.
func (p *peer) measureTrit(ctx context.Context, c config, r *results) error {
	type many struct {
		N     int     `json:"n"`
		Speed float64 `json:"decode_tokens_per_second"`
	}
	var b struct {
		Read    float64 `json:"read_bandwidth_bytes_per_second"`
		Int8    float64 `json:"int8_macs_per_second"`
		Prefill float64 `json:"prefill_tokens_per_second"`
		Batch   []many  `json:"batch"`
		Depth   []many  `json:"depth"`
	}
	bench := func(prompt int, more ...string) error {
		args := append([]string{"bench", "--json", "-m", p.model, "-t", strconv.Itoa(c.threads), "-r", "1",
			"-p", strconv.Itoa(prompt), "-n", strconv.Itoa(c.generate)}, more...)
		out, err := output(ctx, c.trit, args...)
		if err != nil {
			return err
		}
		b.Batch, b.Depth = nil, nil
		if err := json.Unmarshal(out, &b); err != nil {
			return fmt.Errorf("trit bench: %w", err)
		}
		r.read, r.int8 = append(r.read, b.Read/1e9), append(r.int8, b.Int8/1e9)
		return nil
	}
	more := []string{"--depth", "0"}
	if c.has("batch") && c.clients > 0 {
		more = append(more, "--batch", strconv.Itoa(c.clients))
	}
	if err := bench(c.prompt, more...); err != nil {
		return err
	}
	if c.has("speed") {
		r.add(p.name, prompt, b.Prefill)
		r.add(p.name, decode, b.Depth[0].Speed)
	}
	for _, x := range b.Batch {
		if c.has("batch") && x.N == c.clients {
			r.add(p.name, batch, x.Speed)
		}
	}
	if !c.has("depth") || len(c.depths) == 0 {
		return nil
	}
	for _, kv := range c.kvTypes {
		if err := bench(1, "--kv-type", kv, "--depth", numbers(c.depths)); err != nil {
			return err
		}
		for _, d := range b.Depth {
			r.add(p.name, deep(d.N, kv), d.Speed)
		}
	}
	return nil
}

// numbers has commas between them.
func numbers(v []int) string {
	var words []string
	for _, x := range v {
		words = append(words, strconv.Itoa(x))
	}
	return strings.Join(words, ",")
}

// measureBench runs a program with the arguments and the JSON of llama-bench.
func (p *peer) measureBench(ctx context.Context, c config, r *results) error {
	out, err := output(ctx, p.bench, "-m", p.model, "-t", strconv.Itoa(c.threads), "-r", "1", "-o", "json",
		"-p", strconv.Itoa(c.prompt), "-n", strconv.Itoa(c.generate))
	if err != nil {
		return err
	}
	var rows []struct {
		Prompt   int     `json:"n_prompt"`
		Generate int     `json:"n_gen"`
		Speed    float64 `json:"avg_ts"`
	}
	var text strings.Builder
	for line := range strings.Lines(string(out)) {
		if strings.ContainsAny(line[:1], "[] {},\t\"") { // some print messages in between
			text.WriteString(line)
		}
	}
	if err := json.Unmarshal([]byte(text.String()), &rows); err != nil {
		return fmt.Errorf("%s: %w\n%s", p.bench, err, out)
	}
	for _, row := range rows {
		switch {
		case row.Prompt > 0 && row.Generate == 0:
			r.add(p.name, prompt, row.Speed)
		case row.Generate > 0 && row.Prompt == 0:
			r.add(p.name, decode, row.Speed)
		}
	}
	return nil
}

func (p *peer) measureBatch(ctx context.Context, c config, r *results) error {
	return p.batchedBench(ctx, c, []int{8}, c.clients, func(_ int, speed float64) { r.add(p.name, batch, speed) })
}

// measureDepth generates after prompts of a length, which all programs of this name can do;
// llama-bench has an argument for it that some do not know.
func (p *peer) measureDepth(ctx context.Context, c config, r *results) error {
	for _, kv := range c.kvTypes {
		// Without flash attention values cannot be quantised.
		more := []string{"-ctk", kvNames[kv], "-ctv", kvNames[kv]}
		err := p.batchedBench(ctx, c, c.depths, 1, func(depth int, speed float64) { r.add(p.name, deep(depth, kv), speed) }, more...)
		if err != nil {
			return err
		}
	}
	return nil
}

// batchedBench runs a program with the arguments and the table of llama-batched-bench, and
// calls got with the length of each prompt and the speed of generating after it.
func (p *peer) batchedBench(ctx context.Context, c config, prompts []int, sequences int, got func(int, float64), more ...string) error {
	args := append([]string{"-m", p.model, "-t", strconv.Itoa(c.threads), "-c", strconv.Itoa(sequences * (slices.Max(prompts) + c.generate + 8)),
		"-npp", numbers(prompts), "-ntg", strconv.Itoa(c.generate), "-npl", strconv.Itoa(sequences)}, more...)
	out, err := command(ctx, p.batched, args...).CombinedOutput() // for some the table is a message
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", p.batched, err, out[max(0, len(out)-2000):])
	}
	found := 0
	for line := range strings.Lines(string(out)) {
		var length, generated, n, all int
		var promptTime, promptSpeed, took, speed float64
		cells := strings.ReplaceAll(line, "|", " ")
		if k, _ := fmt.Sscan(cells, &length, &generated, &n, &all, &promptTime, &promptSpeed, &took, &speed); k == 8 {
			found++
			got(length, speed)
		}
	}
	if found != len(prompts) {
		return fmt.Errorf("%s: %d lines with results, want %d:\n%s", p.batched, found, len(prompts), out)
	}
	return nil
}

// measureStart runs a process that generates one token; the file has been read before.
func (p *peer) measureStart(ctx context.Context, c config, r *results) error {
	args := []string{"-m", p.model, "-t", strconv.Itoa(c.threads), "-p", "Once", "-n", "1"}
	var cmd *exec.Cmd
	switch {
	case p.cli != "":
		cmd = command(ctx, p.cli, append(args, "-c", "256")...) // by default some reserve the model's whole context
	case p.name == r.peers[0]:
		cmd = command(ctx, c.trit+",infer", args...)
	default:
		return nil
	}
	start := time.Now()
	if _, err := outputOf(cmd); err != nil {
		return err
	}
	r.add(p.name, one, time.Since(start).Seconds())
	if mb := maxResident(cmd.ProcessState); mb > 0 {
		r.add(p.name, oneMemory, mb)
	}
	return nil
}
