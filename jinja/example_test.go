package jinja_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"trit/jinja"
)

func ExampleTemplate_Render() {
	t, err := jinja.Parse("{% for name in names | sort %}{{ loop.index }}. {{ name | title }}\n{% endfor %}")
	if err != nil {
		panic(err)
	}
	out, err := t.Render(map[string]any{"names": []string{"grace", "ada"}}, jinja.Config{})
	if err != nil {
		panic(err)
	}
	fmt.Print(out)
	// Output:
	// 1. Ada
	// 2. Grace
}

// A conversation as JSON, laid out by a chat template.
func ExampleDecodeJSON() {
	t, err := jinja.Parse(`{% for message in messages %}
<|{{ message.role }}|>{{ message.content | trim }}<|end|>
{% endfor %}
{% if add_generation_prompt %}<|assistant|>{% endif %}`)
	if err != nil {
		panic(err)
	}
	messages, err := jinja.DecodeJSON([]byte(`[{"role": "user", "content": " What is new? "}]`))
	if err != nil {
		panic(err)
	}
	out, err := t.Render(map[string]any{"messages": messages, "add_generation_prompt": true}, jinja.Config{})
	if err != nil {
		panic(err)
	}
	fmt.Println(out)
	// Output:
	// <|user|>What is new?<|end|>
	// <|assistant|>
}

// Keys stay in the order in which they are set.
func ExampleDict() {
	tool := jinja.NewDict(2)
	tool.Set("name", "weather")
	tool.Set("cities", jinja.NewList("Bern", "Zürich"))
	t, err := jinja.Parse("{{ tool | tojson }} {{ tool }}")
	if err != nil {
		panic(err)
	}
	out, err := t.Render(map[string]any{"tool": tool}, jinja.Config{})
	if err != nil {
		panic(err)
	}
	fmt.Println(out)
	// Output: {"name": "weather", "cities": ["Bern", "Zürich"]} {'name': 'weather', 'cities': ['Bern', 'Zürich']}
}

func ExampleParse_errors() {
	_, err := jinja.Parse("Hello\n{% include 'footer' %}")
	fmt.Println(err)
	// Output: line 2: unsupported feature: tag 'include' needs other files, which a template does not have
}

// A template refuses its variables, and another takes too long.
func ExampleError() {
	for _, source := range []string{
		"{% if not messages %}\n{{ raise_exception('say something') }}{% endif %}",
		"{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
	} {
		t, err := jinja.Parse(source)
		if err != nil {
			panic(err)
		}
		_, err = t.Render(nil, jinja.Config{Limits: jinja.Limits{Steps: 1_000_000}})
		var e *jinja.Error
		if errors.As(err, &e) {
			fmt.Println(errors.Is(err, jinja.ErrRaised), errors.Is(err, jinja.ErrLimit), e.Line, e.Msg)
		}
	}
	// Output:
	// true false 2 function raise_exception: say something
	// false true 1 function range: rendering takes more than 1000000 steps
}

// Rendering ends with a context, as that of a request.
func ExampleTemplate_RenderContext() {
	t, err := jinja.Parse("Today is {{ strftime_now('%d %B %Y') }}.")
	if err != nil {
		panic(err)
	}
	clock := func() time.Time { return time.Date(2024, 7, 26, 0, 0, 0, 0, time.UTC) }
	out, err := t.RenderContext(context.Background(), nil, jinja.Config{Now: clock})
	if err != nil {
		panic(err)
	}
	fmt.Println(out)
	// Output: Today is 26 July 2024.
}
