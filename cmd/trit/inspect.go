package main

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"trit/convert"
	"trit/gguf"
	"trit/hub"
)

func (a *app) inspectCommand() *cobra.Command {
	var (
		name    string
		verbose bool
	)
	cmd := &cobra.Command{
		Use:     "inspect",
		GroupID: "files",
		Short:   "Show what is in a GGUF file: metadata, tensors, alignment",
		Long: `Show what is in a GGUF file: metadata, tensors, alignment.

The file need not be a model that can be run. What 'trit repair' would mend, or
what needs a decision, is listed at the end.`,
		Example: "  trit inspect --model demo\n  trit inspect --model model.gguf --verbose",
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := required(cmd, "model"); err != nil {
				return err
			}
			return withFile(name, func(m *hub.Model, f *gguf.File) error {
				return a.printText(inspectFile(m.Name, f, verbose))
			})
		},
	}
	cmd.Flags().StringVarP(&name, "model", "m", "", "path of a GGUF file or name of a model (required)")
	cmd.Flags().BoolVarP(&verbose, "verbose", "v", false, "list offsets, sizes and whole arrays")
	takesModel(cmd)
	return cmd
}

// fileInfo is what inspect prints.
type fileInfo struct {
	Name      string            `json:"name"`
	Version   uint32            `json:"version"`
	BigEndian bool              `json:"big_endian"`
	Size      int64             `json:"size_bytes"`
	Alignment uint64            `json:"alignment"`
	Metadata  []metadataInfo    `json:"metadata"`
	Tensors   []tensorInfo      `json:"tensors"`
	Problems  []convert.Finding `json:"problems"`

	verbose bool
}

type metadataInfo struct {
	Key   string `json:"key"`
	Type  string `json:"type"`
	Value any    `json:"value"`
}

type tensorInfo struct {
	Name     string  `json:"name"`
	Type     string  `json:"type"`
	Shape    []int64 `json:"shape"`
	Elements int64   `json:"elements"`
	Offset   int64   `json:"offset"`
	Size     int64   `json:"size_bytes"`
}

// shownElements is how many elements of an array are listed without --verbose.
const shownElements = 8

func inspectFile(name string, f *gguf.File, verbose bool) *fileInfo {
	info := &fileInfo{Name: name, Version: f.Version, BigEndian: f.BigEndian, Size: f.Size, Alignment: f.Alignment, verbose: verbose,
		Tensors: []tensorInfo{}, Problems: []convert.Finding{}}
	for key, v := range f.Metadata.All() {
		var value any
		if v.Len() > shownElements && !verbose && strings.HasPrefix(v.TypeName(), "array") {
			value = fmt.Sprintf("%d elements", v.Len())
		} else {
			value = plainValue(v.Any())
		}
		info.Metadata = append(info.Metadata, metadataInfo{Key: key, Type: v.TypeName(), Value: value})
	}
	for _, t := range f.Tensors {
		info.Tensors = append(info.Tensors, tensorInfo{Name: t.Name, Type: t.Type.String(), Shape: t.Dims, Elements: t.Elements(), Offset: t.Offset, Size: t.Size})
	}
	info.Problems = append(info.Problems, convert.Findings(f)...)
	return info
}

func (i *fileInfo) String() string {
	var b strings.Builder
	order := "little-endian"
	if i.BigEndian {
		order = "big-endian"
	}
	fmt.Fprintf(&b, "%s: GGUF version %d, %s, %d bytes, alignment %d\n\nmetadata (%d keys)\n", i.Name, i.Version, order, i.Size, i.Alignment, len(i.Metadata))
	for _, m := range i.Metadata {
		text := fmt.Sprintf("%v", m.Value)
		switch v := m.Value.(type) {
		case string:
			if m.Type == "string" {
				text = strconv.Quote(v)
			}
		case []string:
			text = fmt.Sprintf("%q", v)
		}
		if limit := 100; len(text) > limit && !i.verbose {
			text = strings.ToValidUTF8(text[:limit], "") + "…"
		}
		fmt.Fprintf(&b, "  %-44s %-14s %s\n", inLine(m.Key), m.Type, inLine(text))
	}
	fmt.Fprintf(&b, "\ntensors (%d)\n", len(i.Tensors))
	for _, t := range i.Tensors {
		fmt.Fprintf(&b, "  %-32s %-6s %-16s", inLine(t.Name), t.Type, fmt.Sprint(t.Shape))
		if i.verbose {
			fmt.Fprintf(&b, " %12d elements, %12d bytes at %d", t.Elements, t.Size, t.Offset)
		}
		b.WriteByte('\n')
	}
	if len(i.Problems) == 0 {
		b.WriteString("\nno misalignment and no other problems\n")
		return b.String()
	}
	fmt.Fprintf(&b, "\nproblems (%d)\n", len(i.Problems))
	for _, p := range i.Problems {
		fmt.Fprintf(&b, "  %s\n", inLine(p.String()))
	}
	return b.String()
}

// inLine returns a text from a file as it can be shown in a line: quoted if it has
// characters that would end the line or command the terminal.
func inLine(text string) string {
	if utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return text
	}
	return strconv.Quote(text)
}

// plainValue returns a metadata value in a form that JSON has: numbers that are not
// finite as text, bytes as numbers.
func plainValue(v any) any {
	switch v := v.(type) {
	case float32:
		if f := float64(v); math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Sprint(v)
		}
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprint(v)
		}
	case []float32:
		return plainList(v)
	case []float64:
		return plainList(v)
	case []uint8:
		return plainList(v)
	case []gguf.Value:
		list := make([]any, len(v))
		for i, e := range v {
			list[i] = e.Any()
		}
		return plainList(list)
	}
	return v
}

func plainList[T any](list []T) []any {
	plain := make([]any, len(list))
	for i, x := range list {
		plain[i] = plainValue(x)
	}
	return plain
}
