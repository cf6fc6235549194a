package trit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"math/big"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/jsonschema-go/jsonschema"

	"trit/chat"
)

// ErrCut reports an answer that ended before it was complete, because it
// reached its limit or the end of the context, or because a stop string came
// up. The error is a [*CutError].
var ErrCut = errors.New("trit: the answer is cut")

// A CutError holds the beginning of an answer that is cut. It wraps [ErrCut].
type CutError struct {
	Text   string // what was generated
	Tokens int    // how many tokens that took
	Finish Finish // why it ended
}

// Error says how far the answer got.
func (e *CutError) Error() string {
	return fmt.Sprintf("%v after %d tokens (%s) at %.80q; allow more tokens, or ask for less",
		ErrCut, e.Tokens, e.Finish, e.Text)
}

// Unwrap returns ErrCut.
func (e *CutError) Unwrap() error { return ErrCut }

// GenerateInto continues a prompt with a JSON value of the type T. The text is
// kept to the JSON Schema of T, so it always decodes; what it says is up to
// the model, which does not see the schema: tell it in the prompt what is
// wanted, or begin the prompt's answer accordingly.
//
// The schema is that of jsonschema.For: exported fields by their JSON names in
// the order of the type, required unless they are omitempty or omitzero;
// pointers and slices may be null. A recursive type has none, which is an
// error, as are options for a constraint of their own or several answers. An
// answer that is cut is a [*CutError].
func GenerateInto[T any](ctx context.Context, m *Model, prompt string, opts ...GenerateOption) (T, error) {
	return into[T](opts, func(opts []GenerateOption) iter.Seq2[Token, error] { return m.Generate(ctx, prompt, opts...) })
}

// ChatInto answers the last message of a conversation with a JSON value of the
// type T; see [GenerateInto].
func ChatInto[T any](ctx context.Context, m *Model, messages []chat.Message, opts ...GenerateOption) (T, error) {
	return into[T](opts, func(opts []GenerateOption) iter.Seq2[Token, error] { return m.Chat(ctx, messages, opts...) })
}

// SchemaOf returns the JSON Schema that GenerateInto keeps a text to.
func SchemaOf[T any]() ([]byte, error) {
	t := reflect.TypeFor[T]()
	if known, ok := schemas.Load(t); ok {
		return known.([]byte), nil
	}
	s, err := jsonschema.For[T](&jsonschema.ForOptions{TypeSchemas: typeSchemas})
	if err != nil {
		return nil, fmt.Errorf("the schema of type %v: %w", t, err)
	}
	text, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("the schema of type %v: %w", t, err)
	}
	schemas.Store(t, text)
	return text, nil
}

// schemas remembers the schemas of types.
var schemas sync.Map // reflect.Type → []byte

// typeSchemas are the schemas of types that decode from less than what
// jsonschema.For says.
var typeSchemas = func() map[reflect.Type]*jsonschema.Schema {
	number := func(kind string, least, greatest float64) *jsonschema.Schema {
		return &jsonschema.Schema{Type: kind, Minimum: &least, Maximum: &greatest}
	}
	all := map[reflect.Type]*jsonschema.Schema{
		// Go reads no leap seconds, and T and Z only in upper case.
		reflect.TypeFor[time.Time]():       {Type: "string", Format: "date-time", Pattern: `^[^tz]{17}[0-5][^tz]*$`},
		reflect.TypeFor[slog.Level]():      {Type: "string", Enum: []any{"DEBUG", "INFO", "WARN", "ERROR"}},
		reflect.TypeFor[big.Int]():         {Type: "integer"},
		reflect.TypeFor[big.Rat]():         {Type: "string", Pattern: `^-?\d{1,18}(/[1-9]\d{0,17})?$`},
		reflect.TypeFor[big.Float]():       {Type: "string", Pattern: `^-?\d{1,15}(\.\d{1,15})?$`},
		reflect.TypeFor[json.Number]():     {Type: "number"},
		reflect.TypeFor[json.RawMessage](): {},
		reflect.TypeFor[float32]():         number("number", -1e30, 1e30), // an exponent could go beyond the type
	}
	if strconv.IntSize == 32 {
		all[reflect.TypeFor[int]()] = number("integer", math.MinInt32, math.MaxInt32)
		all[reflect.TypeFor[uint]()] = number("integer", 0, math.MaxUint32)
	}
	return all
}()

func into[T any](opts []GenerateOption, run func([]GenerateOption) iter.Seq2[Token, error]) (T, error) {
	var value, none T
	schema, err := SchemaOf[T]()
	if err != nil {
		return none, err
	}
	var text strings.Builder
	var last Token
	n := 0
	for token, err := range run(append(opts[:len(opts):len(opts)], JSONSchema(schema))) {
		if err != nil {
			return none, err
		}
		if token.Index > 0 {
			return none, errSeveral
		}
		text.WriteString(token.Text)
		last = token
		n++
	}
	if last.Cut || last.Finish == FinishStopString {
		return none, &CutError{text.String(), n, last.Finish}
	}
	if err := json.Unmarshal([]byte(text.String()), &value); err != nil {
		return none, fmt.Errorf("the answer %.200q does not decode into a %v: %w", text.String(), reflect.TypeFor[T](), err)
	}
	return value, nil
}
