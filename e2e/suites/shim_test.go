//go:build unix

package suites

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// The variables by which the tests of llama.cpp, which start a server themselves, start this program in its place.
const (
	programVar = "TRIT_SUITES_PROGRAM" // the program to put in its place
	modelVar   = "TRIT_SUITES_MODEL"
)

// sameFlags are llama-server's flags that trit serve has, by trit's name, and dropped those that nothing is lost by
// leaving out: where something comes from or lies, how it is computed, and what is always on.
var (
	sameFlags = map[string]string{
		"--host": "--host", "--port": "--port", "--temp": "--temperature", "--seed": "--seed", "--parallel": "--parallel",
		"--n-predict": "--max-tokens", "--slot-save-path": "--slot-save-path", "--api-key": "--api-key",
		"--chat-template": "--chat-template", "--chat-template-file": "--chat-template-file",
		"--batch-size": "--max-batch-tokens", "--threads": "--threads",
	}
	dropped = map[string]int{ // with the number of their values
		"--offline": 0, "--hf-repo": 1, "--hf-file": 1, "--ubatch-size": 1, "--n-gpu-layers": 1,
		"--cont-batching": 0, "--embedding": 0, "--metrics": 0, "--swa-full": 0, "--slots": 0, "--no-slots": 0, "-ctk": 1,
		"-ctv": 1, "-fa": 1, "--verbose": 0, "--jinja": 0, "--no-jinja": 0, "--reasoning-format": 1,
		"--no-cache-idle-slots": 0, "--model-url": 1, "--model": 1,
	}
)

// shim becomes trit serve with llama-server's arguments translated. What has no equivalent ends it.
func shim(program string, args []string) error {
	out := []string{program, "serve", "--model", os.Getenv(modelVar)}
	model := strings.TrimSuffix(os.Getenv(modelVar), ".gguf")
	model = model[strings.LastIndexByte(model, '/')+1:]
	aliases, slots, context, unified := []string{"*"}, 1, 0, false
	for len(args) > 0 {
		flag, value := args[0], ""
		if len(args) > 1 {
			value = args[1]
		}
		n := 1
		switch same, ok := sameFlags[flag]; {
		case ok:
			if flag == "--parallel" {
				slots, _ = strconv.Atoi(value)
			}
			if flag == "--n-predict" && value == "-1" {
				value = "0" // to the end of the context
			}
			out = append(out, same, value)
		case flag == "--cors-origins" && value == "localhost": // which are let in anyway
		case flag == "--alias":
			aliases = append(aliases, strings.Split(value, ",")...)
		case flag == "--ctx-size":
			context, _ = strconv.Atoi(value)
		case flag == "--kv-unified":
			unified, n = true, 0
		case flag == "--reasoning":
			out = append(out, "--think", value)
		case flag == "--pooling" && slices.Contains([]string{"mean", "last", "cls"}, value):
		default:
			if n, ok = dropped[flag]; !ok {
				return fmt.Errorf("trit serve has no equivalent of %s", flag)
			}
		}
		args = args[1+n:]
	}
	if context > 0 {
		if !unified {
			context /= max(slots, 1) // llama-server's is that of all answers together
		}
		out = append(out, "--ctx-size", strconv.Itoa(context))
	}
	for _, name := range aliases {
		out = append(out, "--alias", name+"="+model)
	}
	return syscall.Exec(program, out, os.Environ())
}
