package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
)

// measure takes one sample of everything that the peer can do.
func (p *peer) measure(ctx context.Context, c config, r *results) error {
	if p.bench == "" && p.name == r.peers[0] {
		if err := p.measureTrit(ctx, c, r); err != nil {
			return err
		}
	} else if p.bench != "" {
		if err := p.measureBench(ctx, c, r); err != nil {
			return err
		}
	}
	if c.clients == 0 {
		return nil
	}
	if p.batched != "" {
		if err := p.measureBatched(ctx, c, r); err != nil {
			return err
		}
	}
	return p.measureServer(ctx, c, r)
}

// output runs a program and returns what it printed; its messages are part of the error.
func output(ctx context.Context, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	var out, messages bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &messages
	if err := cmd.Run(); err != nil {
		text := messages.String()
		return nil, fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, text[max(0, len(text)-2000):])
	}
	return out.Bytes(), nil
}

func (p *peer) measureTrit(ctx context.Context, c config, r *results) error {
	args := []string{"bench", "--json", "-m", p.model, "-t", strconv.Itoa(c.threads), "-r", "1",
		"-p", strconv.Itoa(c.prompt), "-n", strconv.Itoa(c.generate)}
	if c.clients > 0 {
		args = append(args, "--batch", strconv.Itoa(c.clients))
	}
	args = append(args, "--depth", "0")
	if c.depth > 0 {
		args[len(args)-1] += "," + strconv.Itoa(c.depth)
	}
	out, err := output(ctx, c.trit, args...)
	if err != nil {
		return err
	}
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
	if err := json.Unmarshal(out, &b); err != nil {
		return fmt.Errorf("trit bench: %w", err)
	}
	r.read, r.int8 = append(r.read, b.Read/1e9), append(r.int8, b.Int8/1e9)
	r.add(p.name, prompt, b.Prefill)
	for _, d := range b.Depth {
		if d.N == 0 {
			r.add(p.name, decode, d.Speed)
		} else {
			r.add(p.name, deep, d.Speed)
		}
	}
	for _, x := range b.Batch {
		if x.N == c.clients {
			r.add(p.name, batch, x.Speed)
		}
	}
	return nil
}

// measureBench runs a program with the arguments and the JSON of llama-bench.
func (p *peer) measureBench(ctx context.Context, c config, r *results) error {
	bench := func(args ...string) ([]benchRow, error) {
		out, err := output(ctx, p.bench, append(args, "-m", p.model, "-t", strconv.Itoa(c.threads), "-r", "1", "-o", "json")...)
		if err != nil {
			return nil, err
		}
		var rows []benchRow
		if err := json.Unmarshal(out, &rows); err != nil {
			return nil, fmt.Errorf("%s: %w", p.bench, err)
		}
		return rows, nil
	}
	rows, err := bench("-p", strconv.Itoa(c.prompt), "-n", strconv.Itoa(c.generate))
	if err != nil {
		return err
	}
	for _, row := range rows {
		switch {
		case row.Prompt > 0 && row.Generate == 0:
			r.add(p.name, prompt, row.Speed)
		case row.Generate > 0 && row.Prompt == 0:
			r.add(p.name, decode, row.Speed)
		}
	}
	if c.depth == 0 {
		return nil
	}
	if rows, err = bench("-p", "0", "-n", strconv.Itoa(c.generate), "-d", strconv.Itoa(c.depth)); err != nil {
		return err
	}
	for _, row := range rows {
		if row.Generate > 0 {
			r.add(p.name, deep, row.Speed)
		}
	}
	return nil
}

type benchRow struct {
	Prompt   int     `json:"n_prompt"`
	Generate int     `json:"n_gen"`
	Speed    float64 `json:"avg_ts"`
}

// measureBatched runs a program with the arguments and the JSON lines of llama-batched-bench.
func (p *peer) measureBatched(ctx context.Context, c config, r *results) error {
	out, err := output(ctx, p.batched, "-m", p.model, "-t", strconv.Itoa(c.threads), "-c", strconv.Itoa(c.clients*(c.generate+16)),
		"-npp", "8", "-ntg", strconv.Itoa(c.generate), "-npl", strconv.Itoa(c.clients), "--output-format", "jsonl")
	if err != nil {
		return err
	}
	for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
		var row struct {
			Sequences int     `json:"pl"`
			Speed     float64 `json:"speed_tg"`
		}
		if json.Unmarshal(lines.Bytes(), &row) == nil && row.Sequences == c.clients {
			r.add(p.name, batch, row.Speed)
		}
	}
	return nil
}
