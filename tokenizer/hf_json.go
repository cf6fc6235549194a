package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// hfFiles are the files of a Hugging Face checkpoint that describe its tokenizer.
// All but the first are optional.
type hfFiles struct {
	tokenizer  []byte // tokenizer.json
	config     []byte // tokenizer_config.json
	specialMap []byte // special_tokens_map.json
	model      []byte // config.json
}

// hfTokenizer is tokenizer.json.
type hfTokenizer struct {
	AddedTokens   []hfAdded `json:"added_tokens"`
	Normalizer    *hfNode   `json:"normalizer"`
	PreTokenizer  *hfNode   `json:"pre_tokenizer"`
	PostProcessor *hfNode   `json:"post_processor"`
	Decoder       *hfNode   `json:"decoder"`
	Model         struct {
		Type          string          `json:"type"`
		Vocab         json.RawMessage `json:"vocab"`
		Merges        hfMerges        `json:"merges"`
		UnkToken      string          `json:"unk_token"`
		Dropout       float64         `json:"dropout"`
		SubwordPrefix string          `json:"continuing_subword_prefix"`
		WordSuffix    string          `json:"end_of_word_suffix"`
		ByteFallback  bool            `json:"byte_fallback"`
		IgnoreMerges  bool            `json:"ignore_merges"`
	} `json:"model"`
}

type hfAdded struct {
	ID         int64  `json:"id"`
	Content    string `json:"content"`
	Special    bool   `json:"special"`
	SingleWord bool   `json:"single_word"`
	Lstrip     bool   `json:"lstrip"`
	Rstrip     bool   `json:"rstrip"`
}

// hfMerges is the merge list: "a b" strings or [a, b] pairs.
type hfMerges [][2]string

// UnmarshalJSON reads either form.
func (m *hfMerges) UnmarshalJSON(b []byte) error {
	inner := bytes.TrimLeft(bytes.TrimPrefix(b, []byte("[")), " \t\r\n")
	if len(inner) > 0 && inner[0] == '[' {
		var pairs [][]string
		if err := json.Unmarshal(b, &pairs); err != nil {
			return err
		}
		*m = make(hfMerges, len(pairs))
		for i, p := range pairs {
			if len(p) != 2 {
				return fmt.Errorf("model.merges[%d] has %d elements, expected 2", i, len(p))
			}
			(*m)[i] = [2]string{p[0], p[1]}
		}
		return nil
	}
	var joined []string
	if err := json.Unmarshal(b, &joined); err != nil {
		return err
	}
	*m = make(hfMerges, len(joined))
	for i, s := range joined {
		cut := -1
		if s != "" {
			cut = strings.IndexByte(s[1:], ' ') + 1
		}
		if cut < 1 {
			return fmt.Errorf("model.merges[%d] is %q, expected two texts with a space between", i, clip(s))
		}
		(*m)[i] = [2]string{s[:cut], s[cut+1:]}
	}
	return nil
}

// hfConfig is tokenizer_config.json or special_tokens_map.json.
type hfConfig struct {
	AddBOS      *bool              `json:"add_bos_token"`
	AddEOS      *bool              `json:"add_eos_token"`
	CleanSpaces *bool              `json:"clean_up_tokenization_spaces"`
	Added       map[string]hfAdded `json:"added_tokens_decoder"`
	BOS         hfTokenText        `json:"bos_token"`
	EOS         hfTokenText        `json:"eos_token"`
	UNK         hfTokenText        `json:"unk_token"`
	SEP         hfTokenText        `json:"sep_token"`
	PAD         hfTokenText        `json:"pad_token"`
	CLS         hfTokenText        `json:"cls_token"`
	MASK        hfTokenText        `json:"mask_token"`
}

func (c *hfConfig) texts() map[Role]hfTokenText {
	return map[Role]hfTokenText{
		RoleBOS: c.BOS, RoleEOS: c.EOS, RoleUNK: c.UNK, RoleSEP: c.SEP,
		RolePAD: c.PAD, RoleCLS: c.CLS, RoleMASK: c.MASK,
	}
}

// hfTokenText is a token given as its text or as an object with a content.
type hfTokenText string

// UnmarshalJSON reads either form; null is the empty text.
func (s *hfTokenText) UnmarshalJSON(b []byte) error {
	var object struct{ Content string }
	if bytes.HasPrefix(b, []byte("{")) {
		if err := json.Unmarshal(b, &object); err != nil {
			return err
		}
		*s = hfTokenText(object.Content)
		return nil
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	*s = hfTokenText(text)
	return nil
}

// hfModelConfig is the part of config.json that names tokens.
type hfModelConfig struct {
	BOS hfID `json:"bos_token_id"`
	EOS hfID `json:"eos_token_id"`
	UNK hfID `json:"unk_token_id"`
	SEP hfID `json:"sep_token_id"`
	PAD hfID `json:"pad_token_id"`
	CLS hfID `json:"cls_token_id"`
}

// hfID is a token id or a list of them, of which the first counts.
type hfID struct {
	id int64
	ok bool
}

// UnmarshalJSON reads either form; null is no id.
func (v *hfID) UnmarshalJSON(b []byte) error {
	list := []int64{}
	if !bytes.HasPrefix(b, []byte("[")) {
		b = slices.Concat([]byte("["), b, []byte("]"))
	}
	if bytes.Equal(b, []byte("[null]")) {
		return nil
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	if len(list) > 0 {
		v.id, v.ok = list[0], true
	}
	return nil
}
