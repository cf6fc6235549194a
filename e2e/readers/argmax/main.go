// Argmax runs a fixed list of tokens through a model and prints, as JSON, the
// largest logit after each of them and its margin over the second largest, for
// comparison with another engine. With -logits it also writes all logits, as
// little-endian float32 of shape [tokens, vocabulary], with -text it also prints
// the tokens of a text.
//
// The KV cache is F16, which is what llama.cpp uses, and the inputs of the
// projections are not rounded unless -activations int8 says so.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"strconv"
	"strings"

	"trit"
	"trit/internal/engine"
	"trit/internal/inside"
	"trit/internal/model"
)

// position is the result after one token.
type position struct {
	Token  int32   `json:"token"`  // the token that was run
	ArgMax int     `json:"argmax"` // the token with the largest logit
	Logit  float32 `json:"logit"`  // that logit
	Margin float32 `json:"margin"` // how much larger it is than the second largest
}

type result struct {
	Architecture string     `json:"architecture"`
	Vocabulary   int        `json:"vocabulary"`
	Activations  string     `json:"activations"`
	Positions    []position `json:"positions"`
	Text         []int32    `json:"text,omitempty"` // the tokens of -text
}

func main() {
	path := flag.String("model", "", "GGUF file or name of a model")
	tokens := flag.String("tokens", "", "token ids, separated by commas")
	activations := flag.String("activations", "float", "what projections round their input to: int8, float")
	logits := flag.String("logits", "", "also write all logits to this file")
	text := flag.String("text", "", "also cut this text into tokens")
	flag.Parse()
	if err := run(*path, *tokens, *activations, *logits, *text); err != nil {
		fmt.Fprintln(os.Stderr, "argmax:", err)
		os.Exit(1)
	}
}

func run(path, list, rounding, out, text string) (err error) {
	if path == "" || list == "" {
		return errors.New("-model and -tokens are required")
	}
	tokens, err := parse(list)
	if err != nil {
		return err
	}
	a, err := model.ParseActivations(rounding)
	if err != nil {
		return err
	}
	m, err := trit.Open(path, trit.Activations(a))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	s, err := inside.Of(m).Scheduler.NewSession()
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.Run(context.Background(), tokens, engine.All, 0); err != nil {
		return err
	}

	c := inside.Of(m).Weights.Config
	r := result{Architecture: c.Architecture, Vocabulary: c.Vocab, Activations: a.String()}
	if text != "" {
		r.Text = m.Tokenize(text)
	}
	var all bytes.Buffer
	for i, token := range tokens {
		row := s.Logits(i)
		if err := binary.Write(&all, binary.LittleEndian, row); err != nil {
			return err
		}
		p := summary(row)
		p.Token = token
		r.Positions = append(r.Positions, p)
	}
	if out != "" {
		if err := os.WriteFile(out, all.Bytes(), 0o644); err != nil {
			return err
		}
	}
	e := json.NewEncoder(os.Stdout)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// summary finds the two largest of at least two logits.
func summary(row []float32) position {
	first, second := 0, 1
	if row[1] > row[0] {
		first, second = 1, 0
	}
	for i := 2; i < len(row); i++ {
		switch {
		case row[i] > row[first]:
			first, second = i, first
		case row[i] > row[second]:
			second = i
		}
	}
	return position{ArgMax: first, Logit: row[first], Margin: row[first] - row[second]}
}

// parse reads a list of token ids.
func parse(list string) ([]int32, error) {
	var ids []int32
	for _, field := range strings.Split(list, ",") {
		id, err := strconv.ParseInt(strings.TrimSpace(field), 10, 32)
		if err != nil {
			return nil, fmt.Errorf("-tokens: %w", err)
		}
		ids = append(ids, int32(id))
	}
	return ids, nil
}
