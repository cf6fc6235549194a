// Package profile says where the time of a model goes: how many operations a
// token takes and how many bytes it reads ([Count]), how fast the machine could
// do that ([Limits]), how fast it is done ([Bench], [BenchKernels]), and
// which operation, layer and worker takes how long ([Profile], [Record]).
//
//	report, err := profile.Bench(ctx, profile.BenchOptions{
//		Name:     "model.gguf",
//		Open:     func() (*gguf.File, error) { return gguf.Open("model.gguf") },
//		Prompt:   256,
//		Generate: 32,
//		Repeat:   3,
//	})
//	if err != nil {
//		return err
//	}
//	fmt.Print(report)
//
// # The two limits
//
// Generating one token reads all weights once, so it cannot be faster than
//
//	tokens/s = read bandwidth / bytes per token
//
// and a prompt is bound by arithmetic, at best
//
//	tokens/s = int8 multiply-accumulates per second / ternary weights
//
// A shared machine is never quite the same from one second to the next, so a
// benchmark measures both limits again and again between the parts of its run,
// on the same workers, and compares each part with its neighbours.
//
// # How time is taken
//
// An engine tells an [engine.Tracer] when each operation begins and ends, and
// its worker team when each worker of a parallel section began its first slice and
// ended its last. Without a tracer that costs a branch each. With one it is two
// readings of the clock, some 50 ns, for an operation and one or two for a slice;
// nothing is allocated, and everything else happens between steps.
package profile
