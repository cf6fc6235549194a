package docs

import "regexp"

// exception is a command that is not run as it is printed. The flags of those
// that begin with "trit" are checked nevertheless.
type exception struct {
	page    string // a regular expression of the names of pages
	command string // a regular expression of whole commands, without a comment behind it
	why     string
	// instead is run in its place; $1 is the first group of command.
	instead string
}

// exceptions is the list of all of them.
var exceptions = []exception{
	{".*", `trit pull .*--name (\S+)`, "downloads", "trit cp --force demo/demo.gguf $1"},
	{".*", `trit pull hf:\S+/(\S+)`, "downloads", "trit cp --force demo/demo.gguf $1"},
	{".*", `trit pull (\S+).*`, "downloads", "trit cp --force demo/demo.gguf $1"},
	{".*", `go test \./\.\.\.`, ".ci/run has a step with this command", ""},
	{"README.md", `go (mod (init|edit|tidy).*|run \.)`, "makes a module of its own; .ci/install does it", ""},
	{"CONTRIBUTING.md", `go generate .*`, ".ci/run has a step with this command", ""},
	{"CONTRIBUTING.md", `GOARCH=arm64 .*qemu.*`, ".ci/run has a step with this command", ""},
	{"CONTRIBUTING.md", `\.ci/(run|long)`, "runs this test", ""},
	{"CONTRIBUTING.md", `go run \./e2e/mutants .*`, "takes minutes and another program; .ci/long has it", ""},
	{"trit logs --help", `(trit logs .*)--follow`, "goes on until the server stops", "$1"},
	{"docs/install.md", `(curl|sha256sum|minisign|apt|systemctl|podman) .*`, "needs a release and root; .ci/package installs one", ""},
	{"docs/install.md", `TRIT_HOME=/var/lib/trit trit pull (\S+)`, "downloads", "trit cp --force demo/demo.gguf $1"},
	{"docs/install.md", `trit run (bitnet-\S+) (".*")`, "downloads", "trit cp --force demo/demo.gguf $1"},
	{"docs/kubernetes.md", `(kubectl|helm) .*`, "needs a cluster; .ci/chart renders the chart", ""},
	{"CONTRIBUTING.md", `\.ci/(release|package).*`, ".ci/run has a step that does this in a clone", ""},
	{"CONTRIBUTING.md", `\.ci/(chart|emulated|debian).*`, "takes minutes and other programs; .ci/long has it", ""},
	{"CONTRIBUTING.md", `\.ci/rename .*`, ".ci/run has a step that does this in a clone", ""},
	{"docs/performance.md", `.*(bench|profile) --shape (bitnet-2b|bonsai2-4b) .*`, "measures for minutes, with a model of 0.8 GB or more", ""},
	{"docs/performance.md", `go test ./server -run - -bench Serve`, "measures for minutes, with a model of 0.8 GB", ""},
	{"trit (bench|profile|synth) --help", `trit .* --shape bitnet-2b.*`, "measures for minutes, with a model of 0.8 GB", ""},
	{"docs/phones.md", `GOOS=(android|linux) GOARCH=(arm|arm64) go build .*`, ".ci/run has a step that builds for these systems", ""},
	{"docs/debugging.md", `trit trace --compare .* theirs.stages.json`, "takes values of another program; TestGoldenDumps reads some", ""},
	{"trit validate --help", `trit validate .*--(logits|vectors) .*`, "takes numbers of another program; .ci/e2e has some", ""},
	{"docs/serving.md", `(docker|kubectl) .*`, "needs a daemon or a cluster; TestKubernetesManifests reads the files", ""},
}

// preparation is what the reader of a page has already.
type preparation struct {
	page string // a regular expression of the names of pages
	why  string
	run  string // commands
}

// preparations is the list of all of them.
var preparations = []preparation{
	{"docs/phones.md", "a phone to which the program and a model were copied", `
		mkdir -p ~/storage/downloads
		cp "$(command -v trit)" ~/storage/downloads/trit-arm64
		cp demo/demo.gguf ~/model.gguf`},
	{"trit (infer|inspect|models|serve|validate|perplexity|export) --help", "a model in a file", "cp demo/demo.gguf model.gguf"},
	{"trit infer --help", "a text", "head -c 200 README.md >long.txt"},
	{"trit perplexity --help", "texts", `
		cp internal/validate/testdata/heldout.txt text.txt
		head -c 3000 text.txt >wiki.test.raw`},
	{"trit serve --help", "a key and a certificate", `
		echo secret >keys.txt
		openssl req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -keyout key.pem -out cert.pem`},
	{"trit convert --help", "checkpoints", `
		trit export --model demo --output bitnet-b1.58-2B-4T-bf16
		trit export --model demo --output checkpoint`},
	{"trit cp --help", "a model in a file", `
		mkdir -p path/to
		cp demo/demo.gguf path/to/model.gguf`},
	{"trit (cp|rm) --help", "a model in the store", "trit cp demo/demo.gguf bitnet-2b-4t"},
	{"trit create --help", "a Modelfile", "echo FROM demo >Modelfile"},
	{"trit quantize --help", "a model with projections that are not packed", "trit quantize --input demo --output model-f32.gguf --type f32"},
	{"trit repair --help", "models of other programs", `
		cp demo/demo.gguf old.gguf
		cp demo/demo.gguf arm.gguf`},
	{"trit (load|unload) --help", "a model in the store", "trit cp demo/demo.gguf bitnet-2b-4t"},
	{"trit (health|ps|load|unload|logs|eval|chat) --help", "a running server", "trit serve"},
	{"docs/evaluation.md", "a running server", "trit serve"},
	{"trit trace --help", "two models", `
		cp demo/demo.gguf good.gguf
		cp demo/demo.gguf bad.gguf`},
}

// whole matches a whole text with a pattern of the lists above, and returns it and
// its groups, or nil.
func whole(pattern, text string) []string {
	return regexp.MustCompile("^(?s:" + pattern + ")$").FindStringSubmatch(text)
}
