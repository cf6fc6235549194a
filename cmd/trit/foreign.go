package main

import "slices"

// foreignFlags says what flags of other programs are called here; docs/install.md has the same, program by program.
var foreignFlags = map[string]string{
	"-ngl": noGPU, "--n-gpu-layers": noGPU, "--gpu-layers": noGPU,
	"-ctk": "it is --kv-type, for keys and values", "-ctv": "it is --kv-type, for keys and values",
	"--cache-type-k": "it is --kv-type, for keys and values", "--cache-type-v": "it is --kv-type, for keys and values",
	"-np": "it is --parallel", "-s": "it is --seed", "-j": "it is --json-schema",
	"-sys": "it is --system-prompt",
	"-cnv": "it is 'trit chat'", "--conversation": "it is 'trit chat'",
	"-fa": notNeeded, "--flash-attn": notNeeded, "--mlock": notNeeded, "-b": notNeeded, "-ub": notNeeded,
	"--spec-type":    "it is --mtp, or --lookup and --draft of 'trit infer'",
	"--no-mmap":      "it is --copy-tables",
	"--verbose":      "a chat shows tokens and speed below, and with /stats",
	"--format":       "it is --json-mode or --json-schema of 'trit infer', and /json or /schema in a chat",
	"--keepalive":    "it is --keep-alive of 'trit serve'",
	"--hidethinking": "it is --think off",
	"--nowordwrap":   "it is --plain",
	"--modelfile":    "'trit show' has --template and --json",
}

const (
	noGPU     = "there is no GPU here; leave it out"
	notNeeded = "nothing here needs it; leave it out"
)

// translated says what the first flag of another program among the arguments is here.
func translated(args []string) string {
	for _, arg := range args[:max(0, slices.Index(append(args, "--"), "--"))] {
		if hint, known := foreignFlags[arg]; known {
			return "; " + arg + " of other programs: " + hint
		}
	}
	return ""
}
