package gguf

import (
	"fmt"
	"strings"
)

// dialect says whose numbering of the contested type ids a file follows.
// Microsoft's bitnet.cpp gave 36, 38 and 39 to I2_S, TL1 and TL2; llama.cpp
// used 36 to 38 for types it later removed, and 39 for MXFP4. Nothing in a
// file names its dialect, so it is inferred from what surrounds the tensors.
type dialect struct{ bitnet bool }

// dialectOf looks at the architecture and at general.file_type, where
// bitnet.cpp writes 38 (TL1), 39 (TL2) or 40 (I2_S).
func dialectOf(m *Metadata) dialect {
	if v, ok := m.Get(keyArchitecture); ok && v.typ == ValueString && strings.HasPrefix(v.str, "bitnet") {
		return dialect{bitnet: true}
	}
	if v, ok := m.Get(keyFileType); ok {
		if n, ok := v.asUint64(); ok && n >= 38 && n <= 40 {
			return dialect{bitnet: true}
		}
	}
	return dialect{}
}

// resolve settles the type of every tensor. extents are the bytes between a
// tensor's offset and the next one's, or the end of the file.
func (d dialect) resolve(raw []rawTensor, extents []int64, align int64) ([]Type, error) {
	types := make([]Type, len(raw))
	var undecided []int
	var q2 Type
	for i, r := range raw {
		fits := func(t Type) bool {
			size, err := t.Size(r.dims)
			return err == nil && (extents[i] == size || extents[i]-size < align && extents[i] == alignUp(size, align))
		}
		switch r.id {
		case TypeI2S.ID(), TypeTL1.ID():
			if !d.bitnet {
				return nil, refuse(r)
			}
			types[i] = Type(r.id)
		case TypeTL2.ID():
			types[i] = d.tl2OrMXFP4(fits(TypeTL2), fits(TypeMXFP4))
		case TypeQ2_0.ID():
			is64, is128 := fits(TypeQ2_0), fits(TypeQ2_0G128)
			switch {
			case is64 && !is128:
				types[i], q2 = TypeQ2_0, TypeQ2_0
			case is128 && !is64:
				types[i], q2 = TypeQ2_0G128, TypeQ2_0G128
			case is64 && is128:
				undecided = append(undecided, i)
			default:
				return nil, refuse(r)
			}
		default:
			if t := Type(r.id); r.id > 0xffff || !t.Known() {
				return nil, refuse(r)
			}
			types[i] = Type(r.id)
		}
	}
	// A tensor so small that both readings pad to the same size follows the
	// larger ones of its file.
	for _, i := range undecided {
		if q2 == 0 {
			return nil, refuse(raw[i])
		}
		types[i] = q2
	}
	return types, nil
}

// tl2OrMXFP4 settles id 39. The two differ so much in size (1.7 and 4.25 bits
// per element) that the bytes in the file decide; the dialect does where they
// do not, as in a truncated file.
func (d dialect) tl2OrMXFP4(isTL2, isMXFP4 bool) Type {
	if isTL2 != isMXFP4 && isTL2 || isTL2 == isMXFP4 && d.bitnet {
		return TypeTL2
	}
	return TypeMXFP4
}

// refuse reports a tensor whose type id stands for nothing readable.
func refuse(r rawTensor) error {
	return fmt.Errorf("%w: tensor %s has type id %d: %s", ErrUnsupported, quote(r.name), r.id, idMeaning(r.id))
}

// idMeaning says what an id that is refused may stand for, and what to do.
func idMeaning(id uint32) string {
	const convert = "; convert the model again with a current converter"
	switch id {
	case 4, 5:
		return "Q4_2 and Q4_3 were removed from ggml in 2023" + convert
	case 31, 32, 33:
		return "the repacked Q4_0_4_4, Q4_0_4_8 and Q4_0_8_8 were removed from llama.cpp; use the plain Q4_0 file"
	case 36:
		return "I2_S in files of bitnet.cpp, IQ4_NL_4_4 (removed) in files of llama.cpp; it is read as I2_S only if general.architecture begins with \"bitnet\" or general.file_type is 40"
	case 37:
		return "I8_S of bitnet.cpp, which is for activations and never in files, or the removed IQ4_NL_4_8 of llama.cpp" + convert
	case 38:
		return "TL1 in files of bitnet.cpp, IQ4_NL_8_8 (removed) in files of llama.cpp; it is read as TL1 only if general.architecture begins with \"bitnet\" or general.file_type is 38"
	case 40:
		return "NVFP4 of llama.cpp, which is not supported; use another quantisation of the model"
	case 41:
		return "Q1_0 of llama.cpp, which is not supported; use another quantisation of the model"
	case 42:
		return "Q2_0, in blocks of 64 elements (llama.cpp) or of 128 (Prism), but its bytes in the file tell neither"
	case 142, 143:
		return "PQ2_0 (142) and PTQ1_0 (143) of Prism's llama.cpp are not supported; use a TQ2_0 or TQ1_0 file of the model"
	}
	return "no known type; the file is corrupt or newer than this reader"
}
