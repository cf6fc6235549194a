package tokenizer

// LeastTokens returns a number of tokens that a text has at least, found from its length alone: no
// token stands for more bytes than the longest one. It costs nothing, so that a text that cannot fit
// anywhere need not be encoded.
func (t *Tokenizer) LeastTokens(text string) int {
	most := t.longest()
	if most == 0 {
		return 0
	}
	return (len(text) + most - 1) / most
}

// longestToken returns how many bytes of text a token stands for at most, 0 if there is no such number.
func (t *Tokenizer) longestToken() int {
	if t.model != ModelBPE {
		for _, id := range t.spm().byteID {
			if id < 0 {
				return 0 // one token stands for all characters in a row that are unknown
			}
		}
	}
	most := 0
	for id := range int32(t.Len()) {
		most = max(most, len(t.TokenBytes(id)), len(t.Token(id).Text))
	}
	if t.nfc {
		most *= 3 // the most by which normalisation shortens a text in UTF-8
	}
	return most
}
