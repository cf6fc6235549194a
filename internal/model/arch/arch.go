// Package arch makes all architecture families available to trit/internal/model: it
// imports each one for its registration.
package arch

import (
	_ "trit/internal/model/arch/bitnet"  // bitnet, bitnet-b1.58, bitnet-25
	_ "trit/internal/model/arch/gemma3"  // gemma3
	_ "trit/internal/model/arch/hunyuan" // hunyuan-dense
	_ "trit/internal/model/arch/llama"   // llama
	_ "trit/internal/model/arch/maple"   // maple
	_ "trit/internal/model/arch/minicpm" // minicpm
	_ "trit/internal/model/arch/qwen3"   // qwen3
	_ "trit/internal/model/arch/qwen35"
)
