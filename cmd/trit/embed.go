package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"trit"
	"trit/internal/textfile"
)

// embedCommand turns texts into vectors.
func (a *app) embedCommand() *cobra.Command {
	var f embedFlags
	cmd := &cobra.Command{
		Use:     "embed [TEXT]...",
		GroupID: "run",
		Short:   "Turn texts into vectors, or tell how alike two texts are",
		Long: `Turn texts into vectors, or tell how alike two texts are.

The texts are arguments, whole files (--file), or lines of JSON (--lines): a
string each, or an object whose "text" is embedded and whose "id" comes back.
Without any of them, standard input is one text.

With --json, and in the file of --output, each text gets a line of JSON with its
vector as "embedding"; without, the first numbers of each vector are shown, and
how alike the texts are: the cosine of the angle between their vectors, from -1
to 1. --similarity prints only that of two texts.

Texts become vectors as the model's file says, by the mean, the first or the last
of the states of their tokens. Embedding models want queries, and some of them
documents, to begin with certain words: --query and --document put the model's
own there, --prefix any other.`,
		Example: `  trit embed --model demo "A cat sleeps." "A dog barks."
  trit embed --model demo --similarity "A cat sleeps." "A dog barks."
  echo '{"id": 7, "text": "A cat sleeps."}' | trit embed --model demo --lines - --json --dimensions 8
  trit embed --model demo --file README.md --truncate --pooling last --output vectors.jsonl
  trit embed --model demo --prefix "query: " --json "Which animal barks?"`,
		Args: cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(cmd, args); err != nil {
				return usage(cmd, err)
			}
			if err := mayWrite(cmd, f.output); err != nil {
				return err
			}
			return a.embed(cmd, &f, args)
		},
	}
	f.add(cmd)
	return cmd
}

type embedFlags struct {
	model      modelFlags
	files      []string
	lines      string
	output     string
	similarity bool

	pooling         trit.Pooling
	dimensions      int
	query, document bool
	prefix          string
	unscaled        bool
	truncate        bool
}

func (f *embedFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	f.model.add(cmd)
	flags.StringArrayVarP(&f.files, "file", "f", nil, "embed the text of this `file` (repeatable)")
	flags.StringVar(&f.lines, "lines", "", "embed the lines of JSON of this `file` (-: standard input)")
	outputFlag(cmd, &f.output, "write a line of JSON with the vector of each text to this `file`")
	flags.BoolVar(&f.similarity, "similarity", false, "print how alike two texts are, and nothing else")
	groupFlags(cmd, "Texts and output", "file", "lines", "output", "force", "similarity")

	parsedFlag(cmd, &f.pooling, "pooling", "", "how the states of a text's tokens become its vector: mean, cls, last (default: as the file says, "+
		"or mean)", trit.ParsePooling)
	flags.IntVar(&f.dimensions, "dimensions", 0, "keep this many numbers of each vector, scaled to length 1 again (0: all)")
	flags.BoolVar(&f.query, "query", false, "put in front of each text what the model wants before queries")
	flags.BoolVar(&f.document, "document", false, "put in front of each text what the model wants before documents")
	flags.StringVar(&f.prefix, "prefix", "", "put this `text` in front of each text")
	flags.BoolVar(&f.unscaled, "unscaled", false, "do not scale vectors to length 1")
	flags.BoolVar(&f.truncate, "truncate", false, "cut texts that are longer than the context instead of failing")
	groupFlags(cmd, "Vectors", "pooling", "dimensions", "query", "document", "prefix", "unscaled", "truncate")
	groupedHelp(cmd, "Texts and output", "Vectors", "Model")
}

// check finds what is wrong with the flags before anything is opened.
func (f *embedFlags) check(cmd *cobra.Command, args []string) error {
	prefixes := 0
	for _, given := range []bool{f.query, f.document, cmd.Flags().Changed("prefix")} {
		if given {
			prefixes++
		}
	}
	switch {
	case prefixes > 1:
		return errors.New("--query, --document and --prefix exclude each other")
	case f.dimensions < 0:
		return fmt.Errorf("--dimensions %d: want a positive number, or 0 for all", f.dimensions)
	case f.lines != "" && len(args)+len(f.files) > 0:
		return errors.New("--lines excludes other texts")
	case f.similarity && (f.lines != "" || len(args)+len(f.files) != 2):
		return errors.New("--similarity wants two texts")
	case f.similarity && f.output != "":
		return errors.New("--similarity and --output exclude each other")
	}
	return nil
}

// options translates the flags.
func (f *embedFlags) options() []trit.EmbedOption {
	o := []trit.EmbedOption{trit.Dimensions(f.dimensions)}
	if f.pooling != 0 {
		o = append(o, trit.Pool(f.pooling))
	}
	switch {
	case f.query:
		o = append(o, trit.Query())
	case f.document:
		o = append(o, trit.Document())
	case f.prefix != "":
		o = append(o, trit.Prefix(f.prefix))
	}
	if f.unscaled {
		o = append(o, trit.Unscaled())
	}
	if f.truncate {
		o = append(o, trit.TruncateTo(0))
	}
	return o
}

// embedded is a text with its vector, as it is printed.
type embedded struct {
	Index     int             `json:"index"`
	ID        json.RawMessage `json:"id,omitempty"`   // of the line
	File      string          `json:"file,omitempty"` // that the text is
	Text      string          `json:"text,omitempty"` // where there is no file
	Tokens    int             `json:"tokens"`
	Embedding []float32       `json:"embedding"`

	source string // what errors call the text
	whole  string // the text, also of a file
}

func (a *app) embed(cmd *cobra.Command, f *embedFlags, args []string) error {
	var texts []*embedded
	var lines *lineReader
	var err error
	if f.lines != "" {
		if lines, err = openLines(f.lines, a.in); err != nil {
			return err
		}
		defer lines.close()
	} else if texts, err = a.embedTexts(cmd.Context(), f, args); err != nil {
		return err
	}
	m, err := f.model.open(a, cmd)
	if err != nil {
		return err
	}
	defer m.Close()
	e := &embedder{app: a, model: m, options: f.options()}
	switch {
	case lines != nil:
		return e.stream(cmd.Context(), lines, f.output)
	case f.similarity:
		if err := e.run(cmd.Context(), texts); err != nil {
			return err
		}
		cosine := trit.Cosine(texts[0].Embedding, texts[1].Embedding)
		return a.print(map[string]float64{"similarity": cosine}, func(b *strings.Builder) { fmt.Fprintf(b, "%.4f\n", cosine) })
	}
	return e.write(f.output, func(show func([]*embedded) error) error {
		if err := e.run(cmd.Context(), texts); err != nil {
			return err
		}
		return show(texts)
	})
}

// embedTexts collects the texts of the command line.
func (a *app) embedTexts(ctx context.Context, f *embedFlags, args []string) ([]*embedded, error) {
	var texts []*embedded
	for i, text := range args {
		texts = append(texts, &embedded{Text: text, whole: text, source: fmt.Sprintf("text %d", i+1)})
	}
	for _, path := range f.files {
		data, err := textfile.Read(path, maxPromptBytes)
		if err != nil {
			return nil, fmt.Errorf("--file: %w", err)
		}
		texts = append(texts, &embedded{File: path, whole: string(data), source: path})
	}
	if len(texts) == 0 {
		const name = "standard input"
		data, err := readText(ctx, a.in, name, maxPromptBytes)
		if err != nil {
			return nil, err
		}
		text := strings.TrimSuffix(string(data), "\n")
		texts = append(texts, &embedded{Text: text, whole: text, source: name})
	}
	for i, t := range texts {
		t.Index = i
		if !utf8.ValidString(t.whole) {
			a.log.Warn(t.source + " is not valid UTF-8; the bytes that are not are read as U+FFFD")
		}
	}
	return texts, nil
}

// embedder turns texts into vectors with one model.
type embedder struct {
	app     *app
	model   *trit.Model
	options []trit.EmbedOption
}

// run fills in the vectors.
func (e *embedder) run(ctx context.Context, texts []*embedded) error {
	tokens := make([][]int32, len(texts))
	for i, t := range texts {
		var err error
		if t.whole == "" {
			return fmt.Errorf("%s is empty", t.source)
		}
		if tokens[i], err = e.model.EmbeddingTokens(ctx, t.whole, e.options...); err != nil {
			if errors.Is(err, trit.ErrContext) {
				err = fmt.Errorf("%s: %w, or cut it with --truncate", t.source, err)
			}
			return err
		}
		t.Tokens = len(tokens[i])
	}
	vectors, err := e.model.EmbedTokens(ctx, tokens, e.options...)
	for i, v := range vectors {
		texts[i].Embedding = v
	}
	return err
}

// write prints texts with their vectors: as lines of JSON, or for people. make hands
// them to show, in pieces.
func (e *embedder) write(output string, make func(show func([]*embedded) error) error) (err error) {
	var out io.Writer = e.app.out
	if output != "" {
		file, err := createOutput(output)
		if err != nil {
			return err
		}
		buffered := bufio.NewWriter(file)
		err = make(func(texts []*embedded) error { return writeLines(buffered, texts) })
		if err == nil {
			err = buffered.Flush()
		}
		return file.close(err)
	}
	return make(func(texts []*embedded) error {
		if e.app.json {
			return writeLines(out, texts)
		}
		var b strings.Builder
		writeEmbedded(&b, texts)
		_, err := io.WriteString(out, b.String())
		return err
	})
}

func writeLines(w io.Writer, texts []*embedded) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, t := range texts {
		if err := enc.Encode(t); err != nil {
			return err
		}
	}
	return nil
}

// shownNumbers and shownCosines bound what is printed for people.
const (
	shownNumbers = 6
	shownCosines = 8
)

// writeEmbedded shows the beginning of each vector, and how alike the texts are.
func writeEmbedded(b *strings.Builder, texts []*embedded) {
	for _, t := range texts {
		fmt.Fprintf(b, "%-4d %-32s %5d tokens  ", t.Index+1, shortened(t), t.Tokens)
		for _, x := range t.Embedding[:min(shownNumbers, len(t.Embedding))] {
			fmt.Fprintf(b, " %8.4f", x)
		}
		if more := len(t.Embedding) - shownNumbers; more > 0 {
			fmt.Fprintf(b, "  and %d more", more)
		}
		b.WriteByte('\n')
	}
	if len(texts) < 2 || len(texts) > shownCosines {
		return
	}
	b.WriteString("\nsimilarity")
	for _, t := range texts {
		fmt.Fprintf(b, "%8d", t.Index+1)
	}
	b.WriteByte('\n')
	for _, t := range texts {
		fmt.Fprintf(b, "%-10d", t.Index+1)
		for _, other := range texts {
			fmt.Fprintf(b, "%8.4f", trit.Cosine(t.Embedding, other.Embedding))
		}
		b.WriteByte('\n')
	}
}

// shortened is the name or the beginning of a text.
func shortened(t *embedded) string {
	const most = 30
	text := t.File
	if text == "" {
		text = strconv.Quote(t.Text)
	}
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}

// linesAtOnce is how many lines are read before their texts are computed: enough to
// fill many forward passes.
const linesAtOnce = 1024

// stream embeds the texts of a file of lines, as many at a time as are worth it.
func (e *embedder) stream(ctx context.Context, lines *lineReader, output string) error {
	bar := e.app.progress("embedding", byteSize)
	defer bar.Clear()
	return e.write(output, func(show func([]*embedded) error) error {
		for {
			texts, err := lines.next(linesAtOnce)
			if err != nil {
				return err
			}
			if len(texts) == 0 {
				return nil
			}
			if err := e.run(ctx, texts); err != nil {
				return err
			}
			if err := show(texts); err != nil {
				return err
			}
			bar.Set(lines.read, lines.size)
		}
	})
}

// lineReader reads the texts of a file of lines of JSON.
type lineReader struct {
	name    string
	file    *os.File // nil for standard input
	scanner *bufio.Scanner
	size    int64 // of the file, 0 if it is not known
	read    int64 // bytes
	line    int   // of the last one read
	count   int   // of texts
}

func openLines(path string, in io.Reader) (*lineReader, error) {
	r := &lineReader{name: path}
	if path == "-" {
		r.name = "standard input"
	} else {
		var err error
		if r.file, err = os.Open(path); err != nil {
			return nil, fmt.Errorf("--lines: %w", err)
		}
		if info, err := r.file.Stat(); err == nil && info.Mode().IsRegular() {
			r.size = info.Size()
		}
		in = r.file
	}
	r.scanner = bufio.NewScanner(in)
	r.scanner.Buffer(nil, maxPromptBytes)
	return r, nil
}

func (r *lineReader) close() {
	if r.file != nil {
		r.file.Close() // which was only read
	}
}

// next returns the texts of the next lines, at most n; none at the end.
func (r *lineReader) next(n int) ([]*embedded, error) {
	var texts []*embedded
	for len(texts) < n && r.scanner.Scan() {
		line := r.scanner.Bytes()
		if r.line++; r.line == 1 {
			line = textfile.Trim(line)
		}
		r.read += int64(len(line)) + 1
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		t, err := parseLine(line)
		if err != nil {
			return nil, fmt.Errorf("%s, line %d: %w", r.name, r.line, err)
		}
		t.Index, t.source = r.count, fmt.Sprintf("the text of %s, line %d,", r.name, r.line)
		r.count++
		texts = append(texts, t)
	}
	if err := r.scanner.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, fmt.Errorf("%s, line %d is longer than %d MiB", r.name, r.line+1, maxPromptBytes>>20)
	} else if err != nil {
		return nil, fmt.Errorf("%s: %w", r.name, err)
	}
	return texts, nil
}

// parseLine reads a line: a string, or an object with a text.
func parseLine(line []byte) (*embedded, error) {
	var text *string
	var object struct {
		ID   json.RawMessage `json:"id"`
		Text *string         `json:"text"`
	}
	if json.Unmarshal(line, &text) == nil && text != nil {
		return &embedded{Text: *text, whole: *text}, nil
	}
	if !json.Valid(line) {
		return nil, errors.New("this is no JSON; want a string, or an object with the field \"text\"")
	}
	if json.Unmarshal(line, &object) != nil || object.Text == nil {
		return nil, errors.New("want a string, or an object with a string as \"text\"")
	}
	return &embedded{ID: object.ID, Text: *object.Text, whole: *object.Text}, nil
}
