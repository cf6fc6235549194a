package kernel

import (
	"errors"
	"fmt"
	"strings"
)

// Level names an instruction set that kernels are written for. Levels of one
// architecture are ordered by their speed.
type Level uint8

// The levels, from the portable twins upwards. SSE41 is SSSE3 and SSE4.1, AVXVNNI is AVX2 with the dot
// product of bytes, which CPUs without AVX-512 have, and some with it. AVX512 stands for
// the F, BW, DQ, VL and VNNI subsets together, which every CPU with VNNI has. VBMI adds
// the byte permutes that the base-3 layout is decoded with, AMX the tiles that
// many rows of activations are multiplied as. NEONDot and NEONI8MM add dot products of
// bytes and of matrices of bytes.
const (
	Generic Level = iota
	SSE41
	AVX2
	AVXVNNI
	AVX512
	AVX512VBMI
	AMX
	NEON
	NEONDot
	NEONI8MM
)

var levelNames = [...]string{"generic", "sse41", "avx2", "avxvnni", "avx512", "avx512vbmi", "amx", "neon", "neondot", "neoni8mm"}

// String returns the name that TRIT_CPU uses for the level.
func (l Level) String() string {
	if int(l) < len(levelNames) {
		return levelNames[l]
	}
	return fmt.Sprintf("level(%d)", uint8(l))
}

// ErrCPU reports a TRIT_CPU value that this machine cannot honour.
var ErrCPU = errors.New("kernel: unusable " + CPUEnv)

// Active returns the level whose kernels are in use: the best that the CPU
// has, or the one that TRIT_CPU limits it to, unless that one cannot be used.
func Active() Level {
	prove()
	return level
}

// Check tries the kernels of the level in use, before any of them runs, and takes a
// lower level if they fail; see DroppedLevels. The first call does that. It returns the
// error of an unusable TRIT_CPU value. Kernels then run at the generic level; programs
// should stop and show the error instead.
func Check() error {
	prove()
	return levelErr
}

// DroppedLevels returns the levels that Check has found unusable, the highest first.
func DroppedLevels() []Dropped {
	prove()
	return trust.dropped
}

// chooseLevel picks the highest supported level, or the one named by limit.
func chooseLevel(limit string, have []Level) (Level, error) {
	if limit == "" {
		return have[len(have)-1], nil
	}
	var names []string
	for _, l := range have {
		if strings.EqualFold(l.String(), limit) {
			return l, nil
		}
		names = append(names, l.String())
	}
	return Generic, fmt.Errorf("%w: %q is not available in this build on this CPU (available: %s)",
		ErrCPU, limit, strings.Join(names, ", "))
}
