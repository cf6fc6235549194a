package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"trit"
	"trit/sample"
)

// TestInFlags puts messages of the library into the words of the command line.
func TestInFlags(t *testing.T) {
	_, err := trit.Open("demo", trit.KVType(99))
	wide := sample.Default()
	wide.TopLogProbs = 5000
	for text, want := range map[string]string{
		err.Error(): "--kv-type: the value kvtype(99) is none of the constants of its type",
		(&trit.ContextError{What: "the prompt", Tokens: 9, Room: 7, Context: 8}).Error(): "the prompt has 9 tokens, and there is room for 7 in the context of 8; shorten it, or raise --ctx-size",
		wide.Validate().Error():                      "sample: --logprobs = 5000, want 0 to 1000",
		errors.Join(err, err).Error():                "--kv-type: the value kvtype(99) is none of the constants of its type\n--kv-type: the value kvtype(99) is none of the constants of its type",
		`download it first with hub.Pull("x-2b")`:    "download it first with trit pull x-2b",
		`see hub.Catalogue`:                          "see trit models --catalogue",
		`convert it first with convert.FromHF("a")`:  "convert it first with trit convert --input a --output model.gguf",
		`ternarise it first with convert.FromHF`:     "ternarise it first with trit convert --input DIR --output FILE",
		"an option to a thing, option nothing_of_it": "an option to a thing, option nothing_of_it",
	} {
		if got := inFlags(text); got != want {
			t.Errorf("%q becomes\n%q, want\n%q", text, got, want)
		}
	}
	for option, flag := range optionFlags {
		if !isFlag("--" + flag) {
			t.Errorf("option %s has the flag --%s, which no command has", option, flag)
		}
	}
}

// TestServerNamesFlags: the options that messages of the server name are flags that there are.
func TestServerNamesFlags(t *testing.T) {
	files, err := filepath.Glob("../../server/core/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	named := 0
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile(`OptionName\("([a-z_]+)"\)`).FindAllSubmatch(text, -1) {
			named++
			if flag := flagOf(string(m[1])); !isFlag(flag) {
				t.Errorf("%s: the option %s would be the flag %s, which there is not", file, m[1], flag)
			}
		}
	}
	if named < 5 {
		t.Errorf("found %d names of options", named)
	}
}
