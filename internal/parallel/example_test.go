package parallel_test

import (
	"fmt"

	"trit/internal/parallel"
)

// double is a task that doubles ten numbers per slice.
type double struct{ numbers []int }

func (d *double) Do(worker, slice int) {
	for i := slice * 10; i < (slice+1)*10; i++ {
		d.numbers[i] *= 2
	}
}

func ExampleTeam() {
	team, err := parallel.NewTeam(2)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer team.Close()

	d := &double{numbers: make([]int, 100)}
	for i := range d.numbers {
		d.numbers[i] = i
	}
	team.Run(d, 10)
	fmt.Println(d.numbers[7], d.numbers[99])
	// Output: 14 198
}
