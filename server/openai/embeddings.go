package openai

import (
	"encoding/base64"
	"encoding/binary"
	"math"
	"net/http"

	"trit/server/core"
)

// embeddingRequest is the body of POST /v1/embeddings.
type embeddingRequest struct {
	Model          string      `json:"model"`
	Input          promptField `json:"input"`
	EncodingFormat string      `json:"encoding_format"`
	Dimensions     *int        `json:"dimensions"`
}

// embedding is the vector of one text.
type embedding struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"` // []float32, or the base64 text of its little-endian bytes
}

// embeddings answers POST /v1/embeddings.
func (s *api) embeddings(w http.ResponseWriter, r *http.Request) error {
	var req embeddingRequest
	if err := core.ReadJSON(r, &req); err != nil {
		return err
	}
	switch req.EncodingFormat {
	case "", "float", "base64":
	default:
		return core.BadRequest("encoding_format", "encoding_format is %.40q; want float or base64", req.EncodingFormat)
	}
	model, err := s.Models.Acquire(r.Context(), req.Model)
	if err != nil {
		return err
	}
	defer model.Release()
	if size := model.Model.Info().Hidden; req.Dimensions != nil && *req.Dimensions != size {
		return core.Unsupported("dimensions",
			"dimensions is %d; the vectors of %s have %d elements and were not trained to be cut", *req.Dimensions,
			model.Name, size)
	}
	if err := req.Input.encode(model.Model, "input"); err != nil {
		return err
	}
	texts, tokens := make([][]int32, len(req.Input)), 0
	for i, p := range req.Input {
		texts[i] = p.tokens
		tokens += len(p.tokens)
	}
	vectors, err := model.Embed(r.Context(), texts...)
	if err != nil {
		return err
	}
	data := make([]embedding, len(vectors))
	for i, v := range vectors {
		data[i] = embedding{Object: "embedding", Index: i, Embedding: v}
		if req.EncodingFormat == "base64" {
			data[i].Embedding = base64Vector(v)
		}
	}
	type usage struct {
		PromptTokens int `json:"prompt_tokens"`
		TotalTokens  int `json:"total_tokens"`
	}
	return core.WriteJSON(w, http.StatusOK, struct {
		Object string      `json:"object"`
		Model  string      `json:"model"`
		Data   []embedding `json:"data"`
		Usage  usage       `json:"usage"`
	}{"list", model.Name, data, usage{tokens, tokens}})
}

func base64Vector(v []float32) string {
	raw := make([]byte, 0, 4*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(raw)
}
