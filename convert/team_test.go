package convert

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"

	"trit/gguf"
	"trit/internal/parallel"
	"trit/quant"
)

// teams returns teams of the given sizes, and one that nobody made.
func teams(t *testing.T, sizes ...int) []team {
	t.Helper()
	list := []team{{}}
	for _, n := range sizes {
		made, err := newTeam(n)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(made.close)
		list = append(list, made)
	}
	return list
}

func (t team) size() int {
	if t.workers == nil {
		return 1
	}
	return t.workers.Size()
}

// TestSplit checks that every element is in exactly one part, that parts do not
// depend on the number of goroutines, and which error wins.
func TestSplit(t *testing.T) {
	for _, n := range []int{0, 1, partElems - 1, partElems, partElems + 1, 5*partElems + 3} {
		for _, unit := range []int{1, 3, 256, partElems - 1, partElems + 1, 3 * partElems} {
			for _, size := range teams(t, 1, 2, 7) {
				seen := make([]atomic.Int32, n)
				var calls atomic.Int32
				err := size.split(n, unit, func(part, lo, hi int) error {
					calls.Add(1)
					if lo%unit != 0 || lo >= hi || hi < n && hi%unit != 0 {
						t.Errorf("n %d, unit %d: part %d is %d…%d", n, unit, part, lo, hi)
					}
					for i := lo; i < hi; i++ {
						seen[i].Add(1)
					}
					return nil
				})
				if err != nil || int(calls.Load()) != parts(n, unit) {
					t.Errorf("n %d, unit %d: %d calls, want %d; error %v", n, unit, calls.Load(), parts(n, unit), err)
				}
				for i := range seen {
					if c := seen[i].Load(); c != 1 {
						t.Fatalf("n %d, unit %d, %d goroutines: element %d was taken %d times", n, unit, size.size(), i, c)
					}
				}
			}
		}
	}
	for _, size := range teams(t, 1, 4) {
		err := size.split(9*partElems, 1, func(part, _, _ int) error {
			if part >= 2 {
				return fmt.Errorf("part %d", part)
			}
			return nil
		})
		if err == nil || err.Error() != "part 2" {
			t.Errorf("%d goroutines: %v, want the error of part 2", size.size(), err)
		}
	}
	for _, threads := range []int{-1, parallel.MaxThreads + 1} {
		if _, err := newTeam(threads); !errors.Is(err, ErrOptions) {
			t.Errorf("%d threads: %v", threads, err)
		}
	}
}

// TestThreads converts and quantises with one goroutine and with several: the files
// and the reports are the same.
func TestThreads(t *testing.T) {
	// Projections and tables of several parts, and an I2_S row that straddles blocks.
	s := shape{hidden: 320, ffn: 640, layers: 1, heads: 4, kvHeads: 2, vocab: 264}
	for name, form := range map[string]checkpointForm{
		"bf16 master": bf16Master, "packed": packedMultiplier, "llama": llamaDivisor, "1bitLLM": oneBitLLM, "TriLM": triLM,
	} {
		s := s
		for i, typ := range withZeros(Types()) {
			s.hidden, s.ffn = 320, 640
			if quant.IsTernary(typ) && typ.BlockElements() > 64 {
				s.hidden, s.ffn = 256, 768
			}
			embedding := floatTypes(EmbeddingTypes())[i%6]
			if embedding == gguf.TypeQ6_K && s.hidden%256 != 0 {
				embedding = gguf.TypeQ4_0
			}
			dir := form.make(newWeights(t, s, name == "llama" || name == "TriLM")).write(t)
			sameWithThreads(t, fmt.Sprintf("%s to %v and %v", name, typ, embedding), func(threads int, write fileWriter) (*Report, error) {
				return fromHF(context.Background(), Options{Input: dir, Output: "x", Type: typ, Embedding: embedding, Threads: threads}, write)
			})
		}
	}
	s = shape{hidden: 256, ffn: 768, layers: 1, heads: 4, kvHeads: 2, vocab: 264}
	w := newWeights(t, s, false)
	_, f := convertTo(t, bf16Master.make(w).write(t), Options{Type: gguf.TypeF32, Embedding: gguf.TypeF32})
	f = masterFile(t, w, f, gguf.TypeF32)
	for _, method := range []Method{MethodAuto, AbsMean, AbsMax} {
		for i, typ := range withZeros(QuantizeTypes()) {
			sameWithThreads(t, fmt.Sprintf("F32 to %v by %v", typ, method), func(threads int, write fileWriter) (*Report, error) {
				return quantize(context.Background(), QuantizeOptions{
					Input: f, Output: "x", Type: &typ, Embedding: &floatTypes(EmbeddingTypes())[i%6], Method: method, Threads: threads,
				}, write)
			})
		}
	}
}

// fileWriter stands for gguf.WriteFile.
type fileWriter = func(string, *gguf.Metadata, []gguf.TensorSpec) error

// sameWithThreads compares what a conversion does with one goroutine and with five.
func sameWithThreads(t *testing.T, name string, run func(threads int, write fileWriter) (*Report, error)) {
	t.Helper()
	var files [2]bytes.Buffer
	var reports [2]*Report
	for i, threads := range []int{1, 5} {
		var err error
		reports[i], err = run(threads, func(_ string, m *gguf.Metadata, tensors []gguf.TensorSpec) error {
			return gguf.WriteTo(&files[i], m, tensors)
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	if files[0].Len() == 0 || !bytes.Equal(files[0].Bytes(), files[1].Bytes()) {
		t.Errorf("%s: the number of threads changes the file", name)
	}
	if d := cmp.Diff(reports[0], reports[1]); d != "" {
		t.Errorf("%s: the number of threads changes the report: %s", name, d)
	}
}
