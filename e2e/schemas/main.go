// Command schemas lets the built-in model answer under random JSON Schemas and
// writes what it said, for validators that share no code with Trit. README.md
// says how to run it all.
//
// Each line of the output is an object: the schema, the text, the least number of
// tokens that the shortest text under the schema takes, the limit that the model
// had, and whether the text is reported as complete.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"

	"trit"
	_ "trit/demo"
	"trit/grammar"
	"trit/internal/randschema"
)

// record is a line of the output.
type record struct {
	Schema   json.RawMessage `json:"schema"`
	Text     string          `json:"text"`
	Tokens   int             `json:"tokens"`
	Least    int64           `json:"least"`
	Limit    int             `json:"limit"`
	Complete bool            `json:"complete"`
}

// summary is the last line.
type summary struct {
	Summary map[string]int `json:"summary"`
}

func main() {
	log.SetFlags(0)
	count := flag.Int("schemas", 1000, "how many schemas to use, besides those that are refused")
	seed := flag.Uint64("seed", 1, "seed of the schemas and of the texts")
	extra := flag.Int("extra", 32, "tokens that each text may have beyond the shortest one")
	flag.Parse()
	out := bufio.NewWriter(os.Stdout)
	if err := run(json.NewEncoder(out), *count, *seed, *extra); err != nil {
		log.Fatal(err)
	}
	if err := out.Flush(); err != nil {
		log.Fatal(err)
	}
}

// prompts are what the texts follow.
var prompts = []string{"Once upon a time", "User: Tell me about a fox.<|eot_id|>Assistant:", "{", "The answer is"}

func run(out *json.Encoder, count int, seed uint64, extra int) error {
	m, err := trit.Open("demo")
	if err != nil {
		return err
	}
	defer m.Close()
	v, err := m.Vocabulary()
	if err != nil {
		return err
	}
	maker := randschema.New(seed)
	refused := map[string]int{}
	for n := 0; n < count; {
		schema, err := json.Marshal(maker.Document())
		if err != nil {
			return err
		}
		g, err := grammar.FromJSONSchema(schema, grammar.SchemaOptions{OpenObjects: n%2 == 1, Strict: true})
		if reason := refusal(err); reason != "" {
			refused[reason]++
			continue
		}
		if err != nil {
			return fmt.Errorf("%w\n%s", err, schema)
		}
		matcher, err := grammar.NewMatcher(g, v)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, schema)
		}
		r := record{Schema: schema}
		if r.Least, err = matcher.Start().MinTokensToEnd(); err != nil {
			return fmt.Errorf("%w\n%s", err, schema)
		}
		r.Limit = int(r.Least) + extra
		var text strings.Builder
		opts := []trit.GenerateOption{
			trit.Grammar(g), trit.MaxTokens(r.Limit), trit.Seed(seed + uint64(n)), trit.Temperature(float64(n%5) / 2), trit.ShowSpecial(),
		}
		for token, err := range m.Generate(context.Background(), prompts[n%len(prompts)], opts...) {
			if err != nil {
				return fmt.Errorf("%w\n%s\n%s", err, schema, text.String())
			}
			text.WriteString(token.Text)
			r.Tokens++
			if token.Finish != "" {
				r.Complete = !token.Cut
			}
		}
		r.Text = text.String()
		if err := out.Encode(r); err != nil {
			return err
		}
		n++
	}
	return out.Encode(summary{refused})
}

// refusal says why a schema is not used, if it is one of the reasons that are
// documented: it is beyond what a grammar can express, nothing satisfies it, or
// a reference leads back to itself, the only mistake that random schemas make.
func refusal(err error) string {
	for _, reason := range []error{grammar.ErrUnsupported, grammar.ErrEmpty, grammar.ErrTooLarge, grammar.ErrSyntax} {
		if errors.Is(err, reason) {
			return reason.Error()
		}
	}
	return ""
}
