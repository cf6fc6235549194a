package kernel

import (
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestEncodedDots has a disassembler read the instructions that are written as bytes.
func TestEncodedDots(t *testing.T) {
	var source []byte
	for _, name := range []string{"ternary_amd64.s", "coarse_amd64.s", "illegal_linux_amd64.s"} {
		part, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		source = append(source, part...)
	}
	encoded := regexp.MustCompile(`LONG +\$0x([0-9a-f]{8}); BYTE \$0x([0-9a-f]{2}) // (VPDPBUSD .*)`)
	var code []byte
	var want []string
	seen := map[string]bool{}
	for _, m := range encoded.FindAllStringSubmatch(string(source), -1) {
		if seen[m[0]] {
			continue
		}
		seen[m[0]] = true
		first, _ := strconv.ParseUint(m[1], 16, 32)
		last, _ := strconv.ParseUint(m[2], 16, 8)
		code = append(binary.LittleEndian.AppendUint32(code, uint32(first)), byte(last))
		want = append(want, m[3])
	}
	if len(want) < 50 {
		t.Fatalf("only %d different instructions are found", len(want))
	}
	objdump, err := exec.LookPath("objdump")
	if err != nil {
		t.Skip("there is no objdump")
	}
	file := filepath.Join(t.TempDir(), "code")
	if err := os.WriteFile(file, code, 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(objdump, "-D", "-b", "binary", "-m", "i386:x86-64", file).CombinedOutput()
	if err != nil {
		t.Skipf("this objdump does not read amd64: %v\n%s", err, out)
	}
	var got []string
	for _, m := range regexp.MustCompile(`\{vex\} (vpdpbusd) +%ymm(\d+),%ymm(\d+),%ymm(\d+)`).FindAllStringSubmatch(string(out), -1) {
		got = append(got, strings.ToUpper(m[1])+" Y"+m[2]+", Y"+m[3]+", Y"+m[4])
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%d instructions are read as\n%s", len(want), out)
	}
}

// TestNoAVX512BelowIt: what is named after AVX2 and AVX-VNNI has no register that only
// AVX-512 has, for which Go's assembler would take the encodings of AVX-512.
func TestNoAVX512BelowIt(t *testing.T) {
	files, err := filepath.Glob("*_amd64.s")
	if err != nil || len(files) == 0 {
		t.Fatal("no assembly", err)
	}
	more, functions := regexp.MustCompile(`\b(Z\d+|[XY](1[6-9]|2\d|3[01])|K[0-7])\b`), 0
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range strings.Split(string(source), "\nTEXT ")[1:] {
			name, _, _ := strings.Cut(body, "(SB)")
			if !strings.HasSuffix(name, "AVX2") && !strings.HasSuffix(name, "AVXVNNI") {
				continue
			}
			functions++
			if r := more.FindString(body); r != "" {
				t.Errorf("%s uses %s", strings.TrimPrefix(name, "·"), r)
			}
		}
	}
	if functions < 50 {
		t.Errorf("only %d functions are found", functions)
	}
}
