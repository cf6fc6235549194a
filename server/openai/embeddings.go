package openai

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"net/http"

	"trit"
	"trit/server/core"
)

// embeddingRequest is the body of POST /v1/embeddings.
type embeddingRequest struct {
	Model          string      `json:"model"`
	Input          promptField `json:"input"`
	EncodingFormat string      `json:"encoding_format"`
	Dimensions     *int        `json:"dimensions"`
	InputType      string      `json:"input_type"` // query or document: the prefix that the model wants for these
}

// API implements core.Bound.
func (*embeddingRequest) API() core.API { return core.Embeddings }

// embedding is the vector of one text.
type embedding struct {
	Object    string `json:"object"`
	Index     int    `json:"index"`
	Embedding any    `json:"embedding"` // []float32, or the base64 text of its little-endian bytes
}

// embeddingReply is the answer.
type embeddingReply struct {
	Object string         `json:"object"`
	Model  string         `json:"model"`
	Data   []embedding    `json:"data"`
	Usage  embeddingUsage `json:"usage"`
}

type embeddingUsage struct {
	PromptTokens int `json:"prompt_tokens"`
	TotalTokens  int `json:"total_tokens"`
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
	var options []trit.EmbedOption
	if n := req.Dimensions; n != nil {
		if size := model.Model.Info().Hidden; *n < 1 || *n > size {
			return core.BadRequest("dimensions", "dimensions is %d; want 1 to %d, which the vectors of %s have", *n, size,
				model.Name)
		}
		options = append(options, trit.Dimensions(*n))
	}
	switch req.InputType {
	case "":
	case "query":
		options = append(options, trit.Query())
	case "document":
		options = append(options, trit.Document())
	default:
		return core.BadRequest("input_type", "input_type is %.40q; want query or document", req.InputType)
	}
	if err := req.Input.encode(r.Context(), model, "input"); err != nil {
		return err
	}
	if req.InputType != "" {
		if err := req.Input.encodePrefixed(r.Context(), model.Model, options); err != nil {
			return err
		}
	}
	texts, tokens := make([][]int32, len(req.Input)), 0
	for i, p := range req.Input {
		texts[i] = p.tokens
		tokens += len(p.tokens)
	}
	vectors, err := model.Embed(r.Context(), texts, options...)
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
	return core.WriteJSON(w, http.StatusOK, embeddingReply{"list", model.Name, data, embeddingUsage{tokens, tokens}})
}

// refuseRerank answers what needs models with a head that scores pairs of texts.
func refuseRerank(w http.ResponseWriter, r *http.Request) error {
	return &core.Error{Status: http.StatusNotImplemented, Code: "unsupported_endpoint",
		Message: "reranking is not supported: no ternary model has been trained to score pairs of texts; " +
			"ask /v1/embeddings for the vectors of query and documents, and compare them"}
}

// encodePrefixed replaces the tokens of texts by those with the prefix that the options
// put in front of them.
func (f promptField) encodePrefixed(ctx context.Context, m *trit.Model, options []trit.EmbedOption) error {
	for i := range f {
		if f[i].ids {
			return core.BadRequest("input_type", "input_type goes with texts; element %d of input is tokens", i)
		}
		var err error
		if f[i].tokens, err = m.EmbeddingTokens(ctx, f[i].text, options...); err != nil {
			if errors.Is(err, trit.ErrOption) {
				return core.Blame(err, "input_type")
			}
			return err
		}
	}
	return nil
}

func base64Vector(v []float32) string {
	raw := make([]byte, 0, 4*len(v))
	for _, x := range v {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(x))
	}
	return base64.StdEncoding.EncodeToString(raw)
}
