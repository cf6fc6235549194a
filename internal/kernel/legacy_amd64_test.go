//go:build !noasm

package kernel

import (
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

// TestLegacyEncodings has a disassembler read the functions of the level SSE41 as they are in
// this program: CPUs of that level know no VEX encodings.
func TestLegacyEncodings(t *testing.T) {
	objdump, err := exec.LookPath("objdump")
	if err != nil {
		t.Skip("there is no objdump")
	}
	code := functionsOf("SSE41")
	if len(code) < 60 {
		t.Fatalf("only %d functions are found", len(code))
	}
	vex := regexp.MustCompile(`(?m)^ .*\t(v[a-z]\w* .*|.*%[yz]mm.*|.*\(bad\).*)$`)
	file := filepath.Join(t.TempDir(), "code")
	found := func(code map[string][]byte) string {
		var all []byte
		for _, c := range code {
			all = append(all, c...)
		}
		if err := os.WriteFile(file, all, 0o600); err != nil {
			t.Fatal(err)
		}
		out, err := exec.Command(objdump, "-D", "-b", "binary", "-m", "i386:x86-64", file).CombinedOutput()
		if err != nil {
			t.Skipf("this objdump does not read amd64: %v\n%s", err, out)
		}
		return vex.FindString(string(out))
	}
	if one := found(code); one != "" {
		t.Errorf("there is %s", one)
	}
	if found(functionsOf("dotAVX2")) == "" {
		t.Error("no VEX encodings are found where there are some")
	}
}

// functionsOf returns the code of the functions of this package whose names end so.
func functionsOf(suffix string) map[string][]byte {
	const step = 16 // or more, from function to function
	pc := reflect.ValueOf(functionsOf).Pointer() &^ (step - 1)
	for runtime.FuncForPC(pc-step) != nil {
		pc -= step
	}
	code := map[string][]byte{}
	for f := runtime.FuncForPC(pc); f != nil; {
		from, next := f.Entry(), f
		for next != nil && next.Entry() == from {
			pc += step
			next = runtime.FuncForPC(pc)
		}
		name := f.Name()[strings.LastIndexByte(f.Name(), '.')+1:]
		// A function that Go calls has a wrapper of the same name.
		if strings.HasSuffix(name, suffix) && next != nil {
			c := unsafe.Slice((*byte)(unsafe.Add(nil, from)), pc-from)
			code[name] = append(code[name], c...)
		}
		f = next
	}
	return code
}
