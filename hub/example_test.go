package hub_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	_ "trit/demo"
	"trit/hub"
)

// Names are turned into files, and files say what they are.
func Example() {
	home, err := os.MkdirTemp("", "trit")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(home)
	os.Setenv(hub.HomeEnv, home)
	defer os.Unsetenv(hub.HomeEnv)

	if _, err := hub.Copy(context.Background(), "demo", "mine", false); err != nil {
		log.Fatal(err)
	}
	m, err := hub.Resolve("mine")
	if err != nil {
		log.Fatal(err)
	}
	d, err := hub.Describe(m)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(d.Source, d.Architecture, d.Type, d.Context)

	_, err = hub.Resolve("bitnet-2b-4t")
	fmt.Println(errors.Is(err, hub.ErrNotFound))
	// Output:
	// store bitnet-b1.58 I2_S 512
	// true
}

// A download shows how far it has come, and can be cancelled: the next call goes
// on where it stopped.
func ExamplePull() {
	ctx := context.Background()
	pulled, err := hub.Pull(ctx, "hf:microsoft/bitnet-b1.58-2B-4T-gguf:i2_s", hub.PullOptions{
		Name:     "bitnet",
		Progress: func(p hub.Progress) { fmt.Printf("\r%s %d of %d", p.Stage, p.Done, p.Total) },
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(pulled.Path, pulled.Manifest.SHA256)
}

func ExampleLookup() {
	e, ok := hub.Lookup("bitnet-2b-4t")
	fmt.Println(ok, e.Repository, e.License, e.Context)
	// Output:
	// true microsoft/bitnet-b1.58-2B-4T-gguf mit 4096
}
