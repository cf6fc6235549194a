package trit_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"trit"
	"trit/gguf"
	"trit/internal/model/synth"
	"trit/internal/model/synth/synthtest"
)

// fuzzShapes are small models of all kinds of graphs.
var fuzzShapes = []string{"tiny", "tiny-llama", "tiny-qwen3", "tiny-gemma3", "tiny-qwen35", "tiny-maple", "tiny-minicpm", "tiny-hunyuan"}

// FuzzOpen changes files of every family and every type of weights, in a place or two and in their length: they
// open and answer, or are refused. Nothing panics, and nothing takes long.
func FuzzOpen(f *testing.F) {
	types := synth.Types()
	var mu sync.Mutex
	files := make([][]byte, len(fuzzShapes)*len(types)) // those that have been needed
	file := func(t testing.TB, which int) []byte {
		mu.Lock()
		defer mu.Unlock()
		if files[which] == nil {
			g, err := synth.New(synthtest.Shape(t, fuzzShapes[which/len(types)]), synth.Options{Type: types[which%len(types)]})
			if err != nil {
				return nil // not every family is made of every type
			}
			if files[which], err = g.Bytes(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		return files[which]
	}
	for i := range fuzzShapes {
		which := uint(i*len(types) + i%len(types))
		f.Add(which, uint(1<<16), []byte{0xff, 0x7f, 0xff, 0xff}, uint(40), []byte{3}, uint(0))
		f.Add(which, uint(1<<20), []byte{0, 0, 0x80, 0x7f}, uint(4), []byte{3}, uint(100))
		f.Add(which, uint(8), []byte(nil), uint(300), []byte(nil), uint(0))
	}
	f.Fuzz(func(t *testing.T, which, at uint, change []byte, also uint, another []byte, cut uint) {
		data := slices.Clone(file(t, int(which%uint(len(files)))))
		if len(data) == 0 {
			return
		}
		copy(data[at%uint(len(data)):], change)
		copy(data[also%uint(len(data)):], another)
		data = data[:uint(len(data))-min(cut, uint(len(data)))]
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		parsed, err := gguf.Parse(data)
		if err != nil {
			return
		}
		m, err := trit.OpenFile(ctx, "changed", parsed, trit.Threads(1), trit.ContextSize(64), trit.KVTokens(128))
		if err != nil {
			return
		}
		for _, err := range m.Generate(ctx, "Once", trit.MaxTokens(3)) {
			if err != nil {
				break // such as logits that are not numbers
			}
		}
		if ctx.Err() != nil {
			t.Error("three tokens take more than 20 s")
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
}
