package hub

import _ "embed"

// Demo is the name of the embedded model.
const Demo = "demo"

// demoGGUF is the demo model, a GGUF file. demo/README.md says what it can do.
//
//go:embed demo/demo.gguf
var demoGGUF []byte
