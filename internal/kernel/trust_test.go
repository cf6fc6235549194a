package kernel

import (
	"slices"
	"strings"
	"testing"
)

// TestTrials: the kernels of every level of this CPU pass, and what they are tried with
// is no set of exceptions: it has results.
func TestTrials(t *testing.T) {
	for _, l := range supported() {
		if reason := illegal(l); reason != "" {
			t.Errorf("%v: %s", l, reason)
		}
		if reason := differing(kernelsOf(l)); reason != "" {
			t.Errorf("%v: %s", l, reason)
		}
	}
	for _, trial := range trials {
		if trial.try(&generic) == 0 {
			t.Errorf("%s fails with the twins", trial.name)
		}
	}
}

// TestTrialsFind: kernels that are wrong, or fail, are found in every family.
func TestTrialsFind(t *testing.T) {
	for name, wrong := range map[string]func(k *kernels){
		"float arithmetic": func(k *kernels) {
			float := *k.float
			add := float.add
			float.add = func(dst, a, b []float32) { add(dst, a, b); dst[len(dst)-1]++ }
			k.float = &float
		},
		"attention": func(k *kernels) {
			attend := *k.attend
			values := attend.values[KVI8]
			attend.values[KVI8] = func(o, e []float32, v []byte, d, nq, n int) { values(o, e, v, d, nq, n-1) }
			k.attend = &attend
		},
		"the output head": func(k *kernels) {
			head := *k.head
			head.formats[headQ6_K].decode = func([]float32, []byte) { panic("broken") }
			k.head = &head
		},
		"the coarse output head": func(k *kernels) {
			coarse := *k.coarse
			coarse.refine = func([]float32, []int32, []byte, int, []int8, []float32, float32, float32) {}
			k.coarse = &coarse
		},
		"ternary products": func(k *kernels) {
			products := *k.ternary
			products.matMulF32[1] = products.matMulF32[0]
			k.ternary = &products
		},
		"ternary products in groups": func(k *kernels) {
			grouped := *k.grouped
			grouped.mul[2] = grouped.mul[0]
			k.grouped = &grouped
		},
	} {
		k := *kernelsOf(Active())
		wrong(&k)
		if got := differing(&k); !strings.HasSuffix(got, " of "+name) {
			t.Errorf("%s: found %q", name, got)
		}
	}
	if active != kernelsOf(Active()) {
		t.Error("a trial leaves its table in use")
	}
}

// TestTrusted: levels that fail give way to lower ones.
func TestTrusted(t *testing.T) {
	have := supported()
	for bad := range len(have) {
		useKernels(t, kernelsOf(have[len(have)-1]))
		got, dropped := trusted(have[len(have)-1], have, func(l Level) string {
			if slices.Index(have, l) > bad {
				return "bad"
			}
			return ""
		})
		if got != have[bad] || active != kernelsOf(got) {
			t.Errorf("only %v works, and %v is used, or the table of another", have[bad], got)
		}
		if len(dropped) != len(have)-1-bad {
			t.Errorf("only %v works, and of %v these are dropped: %v", have[bad], have, dropped)
		}
	}
	if got, dropped := trusted(Generic, have, func(Level) string { return "bad" }); got != Generic || dropped != nil {
		t.Errorf("the twins give way to %v", got)
	}
}

func BenchmarkTrials(b *testing.B) {
	for b.Loop() {
		if l, _ := trusted(level, supported(), fault); l != level {
			b.Fatal(l)
		}
	}
}
