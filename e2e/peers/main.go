// Command peers measures Trit beside other programs that run the same model, in one
// run, and writes a table and a drawing:
//
//	go run ./e2e/peers -shape bonsai-8b -type q2_0 -out /tmp/peers -peer 'llama.cpp
//	    bench=/opt/llama/llama-bench,-fa,1 batched=/opt/llama/llama-batched-bench
//	    cli=/opt/llama/llama-completion,-no-cnv server=/opt/llama/llama-server'
//
// A peer has a name and the paths of its programs, which take the arguments of
// llama.cpp's programs of those names (cli is the one that continues a text), each with
// further arguments of its own after commas; what it lacks is left out. It reads the file
// that Trit makes, random weights in a known shape, or its own with model=FILE or type=TYPE.
//
// Everybody measures in turn, -rounds times, so that a neighbour who comes or goes meets
// all of them; the table has medians and ranges, and the machine's own limits of the same
// minutes. All get the same number of threads; each decides about everything else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

type config struct {
	trit, shape, typ, head, out string
	parts                       []string
	prompt, generate            int
	depths                      []int
	kvTypes                     []string
	clients, answer             int
	rounds, threads             int
}

// parts are what can be measured by itself.
var parts = []string{"speed", "depth", "batch", "start", "server"}

func (c config) has(part string) bool { return slices.Contains(c.parts, part) }

func main() {
	log.SetFlags(0)
	c := config{parts: parts, kvTypes: []string{"f16"}}
	var peers []peer
	flag.StringVar(&c.trit, "trit", "", "Trit's program (default: built from these sources)")
	flag.StringVar(&c.shape, "shape", "bonsai-8b", "shape of the model, as trit synth knows it")
	flag.StringVar(&c.typ, "type", "q2_0", "type of its ternary weights")
	flag.StringVar(&c.head, "head", "", "type of its head (default: that of the shape)")
	flag.StringVar(&c.out, "out", "", "folder for models, table and drawing (default: a temporary one for models)")
	flag.IntVar(&c.prompt, "p", 256, "tokens of the prompt")
	flag.IntVar(&c.generate, "n", 32, "tokens to generate")
	flag.Func("measure", "what is measured (default "+strings.Join(parts, ",")+")", list(&c.parts, func(s string) (string, error) {
		if !slices.Contains(parts, s) {
			return "", fmt.Errorf("want some of %s", strings.Join(parts, ","))
		}
		return s, nil
	}))
	flag.Func("depth", "also generate after so many tokens, numbers with commas between them", list(&c.depths, depth))
	flag.Func("kv", "types of the KV cache that this is done with (default f16): f16,int8,q4", list(&c.kvTypes, func(s string) (string, error) {
		if kvNames[s] == "" {
			return "", errors.New("want some of f16,int8,q4")
		}
		return s, nil
	}))
	flag.IntVar(&c.clients, "clients", 8, "sequences at once, and clients of the servers; 0 leaves both out")
	flag.IntVar(&c.answer, "answer", 128, "tokens that a client asks for")
	flag.IntVar(&c.rounds, "rounds", 3, "how often everything is measured")
	flag.IntVar(&c.threads, "t", max(1, runtime.NumCPU()), "threads of each program")
	flag.Func("peer", "NAME bench=PROGRAM batched=PROGRAM cli=PROGRAM server=PROGRAM model=FILE type=TYPE, where PROGRAM is PATH[,ARGUMENT…]; may be repeated", func(s string) error {
		p, err := parsePeer(s)
		peers = append(peers, p)
		return err
	})
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, c, peers); err != nil {
		log.Fatal(err)
	}
}

// depth reads a positive number: what is generated after nothing is part of the speed.
func depth(s string) (int, error) {
	d, err := strconv.Atoi(s)
	if err == nil && d <= 0 {
		err = errors.New("want positive numbers")
	}
	return d, err
}

// list returns what reads a flag's values with commas between them.
func list[T any](to *[]T, read func(string) (T, error)) func(string) error {
	return func(s string) error {
		*to = nil
		for word := range strings.SplitSeq(s, ",") {
			v, err := read(word)
			if err != nil {
				return err
			}
			*to = append(*to, v)
		}
		return nil
	}
}

// peer is a program to compare with; Trit itself is the first one, without programs.
type peer struct {
	name, bench, batched, cli, server, model, typ string
}

func parsePeer(s string) (peer, error) {
	words := strings.Fields(s)
	if len(words) == 0 || strings.Contains(words[0], "=") {
		return peer{}, fmt.Errorf("%q does not begin with a name", s)
	}
	p := peer{name: words[0]}
	fields := map[string]*string{"bench": &p.bench, "batched": &p.batched, "cli": &p.cli,
		"server": &p.server, "model": &p.model, "type": &p.typ}
	for _, w := range words[1:] {
		key, value, ok := strings.Cut(w, "=")
		if !ok || fields[key] == nil || value == "" {
			return p, fmt.Errorf("%q in %q; want bench=, batched=, cli=, server=, model= or type= with a value", w, s)
		}
		*fields[key] = value
	}
	return p, nil
}

func run(ctx context.Context, c config, peers []peer) error {
	folder := c.out
	if folder == "" {
		var err error
		if folder, err = os.MkdirTemp("", "peers-"); err != nil {
			return err
		}
		defer os.RemoveAll(folder)
	} else if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	if c.trit == "" {
		c.trit = filepath.Join(folder, "trit")
		if out, err := exec.CommandContext(ctx, "go", "build", "-o", c.trit, "./cmd/trit").CombinedOutput(); err != nil {
			return fmt.Errorf("building trit: %w\n%s", err, out)
		}
	}
	all := append([]peer{{name: "Trit"}}, peers...)
	for i := range all {
		if err := all[i].makeModel(ctx, c, folder); err != nil {
			return err
		}
	}
	r := newResults(c, all)
	for round := range c.rounds {
		for _, p := range all {
			log.Printf("round %d of %d: %s", round+1, c.rounds, p.name)
			if err := p.measure(ctx, c, r); err != nil {
				return fmt.Errorf("%s: %w", p.name, err)
			}
		}
	}
	table := r.table()
	fmt.Print(table)
	if c.out == "" {
		return nil
	}
	if err := os.WriteFile(filepath.Join(folder, "peers.md"), []byte(table), 0o666); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "peers.svg"), []byte(r.svg()), 0o666)
}

// makeModel sees to it that the peer has a file, and makes it where it does not exist yet.
func (p *peer) makeModel(ctx context.Context, c config, folder string) error {
	if p.model != "" {
		return nil
	}
	typ := c.typ
	if p.typ != "" {
		typ = p.typ
	}
	args := []string{"synth", "--shape", c.shape, "--type", typ}
	p.model = filepath.Join(folder, c.shape+"-"+typ+".gguf")
	if c.head != "" {
		args = append(args, "--head", c.head)
		p.model = filepath.Join(folder, c.shape+"-"+typ+"-"+c.head+".gguf")
	}
	if _, err := os.Stat(p.model); err == nil {
		return nil
	}
	log.Printf("making %s", p.model)
	if out, err := exec.CommandContext(ctx, c.trit, append(args, p.model)...).CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}
