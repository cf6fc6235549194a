// Package arch makes all architecture families available to trit/model: it
// imports each one for its registration.
package arch

import (
	_ "trit/model/arch/bitnet" // bitnet, bitnet-b1.58, bitnet-25
	_ "trit/model/arch/llama"  // llama
)
