package autotune_test

import (
	"fmt"
	"log"

	"trit/internal/kernel"
	"trit/internal/kernel/autotune"
	"trit/internal/parallel"
	"trit/internal/ternary"
)

// Choose how to store and multiply the weights of a model's largest matrix.
func ExampleTuner() {
	team, err := parallel.NewTeam(2)
	if err != nil {
		log.Fatal(err)
	}
	defer team.Close()
	choice := autotune.New("", nil).For(team).Best(autotune.Shape{Rows: 6912, Cols: 2560, Tokens: 1})
	ws := kernel.NewWorkspace()
	ws.Variant = choice.Variant
	w, err := ternary.New(choice.Layout, 6912, 2560)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(w.Rows, w.Cols)
	// Output: 6912 2560
}
