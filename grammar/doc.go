// Package grammar restricts what a model writes to a formal language and turns
// that language into token masks.
//
// A [Grammar] is a language over bytes. It comes from llama.cpp's GBNF
// ([ParseGBNF]), a regular expression ([CompileRegexp]), a JSON Schema
// ([FromJSONSchema]), JSON itself ([JSON], [JSONObject]), tool definitions
// ([Tools]), a list of texts ([Choice]), or phrases that must occur
// ([Lexical]); [Text] is all of UTF-8, which together with
// [Vocabulary.Restrict] is an allowed-token set. Grammars are immutable and may be shared.
//
// A [Vocabulary] knows the bytes of every token, arranged in a trie. It is built
// once per tokenizer. A [Matcher] binds a grammar to a vocabulary and owns the
// caches; it is safe for concurrent use. A [State] is one position in one
// text. It is small, and copying it forks it:
//
//	m, err := grammar.NewMatcher(g, v)
//	s := m.Start()
//	for !s.Done() {
//		err := s.Mask(mask)      // bit id%64 of word id/64: token id may come next
//		id := …                  // the sampler chooses
//		if v.IsEOG(id) { break } // its bit is set only where the text is complete
//		err = s.Accept(id)
//	}
//
// Near a token limit [State.MaskWithin] leaves only tokens after which the text can
// still be completed, so that a limit never cuts a text that can fit.
//
// # How it works
//
// A grammar is compiled to a network: per rule a finite automaton over bytes,
// whose edges consume a byte or call another rule. Multi-byte characters are
// paths of several edges, so that a token may end in the middle of one. A position in the
// text is a configuration: the set of automaton nodes that reading the text
// may have led to, each with the frame of the call it belongs to. A frame is the set of
// places its rule returns to. All callers of a rule at one position share
// one frame, as items of Earley's algorithm do, so ambiguity costs polynomial space;
// equal frames and configurations are one object, and moves between
// configurations are remembered, which makes a lazily built deterministic automaton
// of the places a text really visits. Counted repetition is a counter in an item rather than
// copies of the automaton.
//
// A mask is computed by walking the token trie and the automaton together. Most
// of that does not depend on the frame: inside a JSON string all that matters
// of the surroundings is what may follow the closing quote. So the walk
// is done once per set of nodes with an anonymous frame, its result is kept, and
// what is left for an actual frame are the few tokens that reach beyond the end of the
// rule.
//
// Left recursion is refused, as in llama.cpp. All work is bounded: a grammar
// that takes more than about a second to compile is refused ([ErrTooLarge]), a text
// position that is too ambiguous is an error ([ErrLimit]), and so is a text whose
// positions take too much work together: every text has an account, from which all that
// follows it pays, and to which each accepted token adds.
package grammar
