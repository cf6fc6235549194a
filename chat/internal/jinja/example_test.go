package jinja_test

import (
	"fmt"

	"trit/chat/internal/jinja"
)

func ExampleTemplate_Render() {
	t, err := jinja.Parse("{% for name in names | sort %}{{ loop.index }}. {{ name | title }}\n{% endfor %}")
	if err != nil {
		panic(err)
	}
	out, err := t.Render(map[string]jinja.Value{"names": jinja.NewList("grace", "ada")}, jinja.Config{})
	if err != nil {
		panic(err)
	}
	fmt.Print(out)
	// Output:
	// 1. Ada
	// 2. Grace
}

func ExampleParse_errors() {
	_, err := jinja.Parse("Hello\n{% include 'footer' %}")
	fmt.Println(err)
	// Output: line 2: unsupported feature: tag 'include' needs other files, which a chat template does not have
}
