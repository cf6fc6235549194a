package trit

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"trit/gguf"
	"trit/hub"
	"trit/internal/cache"
	"trit/internal/engine"
	"trit/internal/fault"
	"trit/internal/kernel"
	"trit/internal/model"
	"trit/internal/sysmem"
)

// MemoryPlan says how much memory a model takes, before it is loaded. Sizes
// are in bytes.
type MemoryPlan struct {
	Model string `json:"model"`
	// Weights is what the ternary matrices take in the larger of their layouts.
	Weights int64 `json:"weights"`
	// Tables are the embedding, the output head and the vectors. They are read
	// where they are in the file, so the system may give their memory to others
	// and read them again.
	Tables int64 `json:"tables"`
	// Head is what computing the logits keeps beside the output head.
	Head int64 `json:"head"`
	// Copies are those of matrices by rows and columns, from which single texts leave
	// out what relu² makes nothing of; see [Skip]. The model can do without them.
	Copies int64 `json:"copies,omitempty"`
	// Scratch holds intermediate results.
	Scratch int64 `json:"scratch"`
	// KVPage is the memory of the keys and values of a page of PageTokens tokens,
	// Context the largest number of tokens of a text, and KVTokens that of all
	// texts together.
	KVPage     int64 `json:"kv_page"`
	PageTokens int   `json:"page_tokens"`
	// KVWindow of KVPage belongs to layers with a sliding window, which a text needs for its
	// last WindowTokens tokens only. What is left of longer texts takes less room than
	// they have tokens.
	KVWindow     int64 `json:"kv_window,omitempty"`
	WindowTokens int   `json:"window_tokens,omitempty"`
	// State is what models with recurrences keep beside keys and values, of each text
	// and of the places in it that others can go on from. It is part of the KV cache and
	// takes the room of StateTokens tokens.
	State       int64 `json:"state,omitempty"`
	StateTokens int   `json:"state_tokens,omitempty"`
	// TextTokens is the room that a text of the whole context is given: that of Context
	// tokens, and of some states.
	TextTokens int `json:"text_tokens"`
	Context    int `json:"context"`
	KVTokens   int `json:"kv_tokens"`

	insist bool // on the copies
	cache  cache.Config
}

// Snapshots returns how many snapshots of its state a text has room for beside the
// state itself; 0 for models without recurrences.
func (p *MemoryPlan) Snapshots() int {
	if p.StateTokens == 0 {
		return 0
	}
	return (p.TextTokens-p.room(p.Context))/p.StateTokens - 1
}

// Texts returns how many texts of so many tokens each, at most Context, the KV cache has
// room for at once, with their states and snapshots.
func (p *MemoryPlan) Texts(tokens int) int {
	room := p.room(tokens)
	if p.StateTokens > 0 {
		room += (p.Snapshots() + 1) * p.StateTokens
	}
	return p.KVTokens / room
}

// room returns how many tokens' room a text of so many tokens takes.
func (p *MemoryPlan) room(tokens int) int { return p.cache.Room(tokens) * p.PageTokens }

// Fixed returns what the model takes without any text.
func (p *MemoryPlan) Fixed() int64 {
	return p.Weights + p.Tables + p.Head + p.Copies + p.Scratch
}

// KV returns the memory of the keys and values of so many tokens, in all layers.
func (p *MemoryPlan) KV(tokens int) int64 {
	return (int64(tokens) + int64(p.PageTokens) - 1) / int64(p.PageTokens) * p.KVPage
}

// Least returns what the model takes to continue one text of the whole context, without
// the copies if it can do without them.
func (p *MemoryPlan) Least() int64 {
	least := p.Fixed() + p.KV(p.least())
	if !p.insist {
		least -= p.Copies
	}
	return least
}

// LeastFor is Least for one text of so many tokens, or of the whole context if that is
// shorter.
func (p *MemoryPlan) LeastFor(tokens int) int64 {
	return p.Least() - p.KV(p.least()) + p.KV(min(tokens, p.Context)+p.StateTokens)
}

// least returns the room of one text of the whole context.
func (p *MemoryPlan) least() int { return p.room(p.Context) + p.StateTokens }

// Total returns what the model takes when its KV cache is full.
func (p *MemoryPlan) Total() int64 { return p.Fixed() + p.KV(p.KVTokens) }

// String lists the parts.
func (p *MemoryPlan) String() string {
	state, copies := "", ""
	if p.Copies > 0 {
		copies = fmt.Sprintf(", copies %s", Bytes(p.Copies))
	}
	if p.State > 0 {
		state = fmt.Sprintf(", %s of it for each state", Bytes(p.State))
	}
	return fmt.Sprintf("%s (weights %s, tables %s, head %s%s, scratch %s, KV cache %s for %d tokens%s)", Bytes(p.Total()),
		Bytes(p.Weights), Bytes(p.Tables), Bytes(p.Head), copies, Bytes(p.Scratch), Bytes(p.KV(p.KVTokens)), p.KVTokens, state)
}

// ErrMemory reports a model that does not fit into memory; see [MemoryError].
var ErrMemory = errors.New("trit: not enough memory")

// A MemoryError says what a model needs and what would fit. It wraps [ErrMemory].
type MemoryError struct {
	Needs     MemoryPlan // with a KV cache of one text of the whole context
	Available int64      // bytes
	// Context is the largest context that would fit with this type of KV cache, 0
	// if none would.
	Context int
}

// Error says what is needed and what would fit.
func (e *MemoryError) Error() string {
	remedy := "use a machine or a container with more memory"
	if e.Context > 0 {
		remedy = fmt.Sprintf("option context_size %d would fit, and option kv_type with fewer bits makes room for more",
			e.Context)
	}
	return fmt.Sprintf("%v: %s needs %s and there is %s; %s",
		ErrMemory, e.Needs.Model, e.Needs.String(), Bytes(e.Available), remedy)
}

// Unwrap returns ErrMemory.
func (e *MemoryError) Unwrap() error { return ErrMemory }

// Spare gives the copies up if the model would not fit into so many bytes with them
// and a full KV cache, unless [SkipOn] insists on them.
func (p *MemoryPlan) Spare(bytes int64) {
	if p.Total() > bytes && !p.insist {
		p.Copies = 0
	}
}

// Fit gives the copies up and makes the KV cache as small as it must be for the model to
// fit into so many bytes, but not smaller than one text of the whole context. If even
// that does not fit, the error is a [MemoryError].
func (p *MemoryPlan) Fit(bytes int64) error {
	if p.Spare(bytes); p.Total() <= bytes {
		return nil
	}
	if p.Least() > bytes {
		e := &MemoryError{Needs: *p, Available: bytes}
		e.Needs.KVTokens = p.least()
		if room := int(max(0, bytes-p.Fixed())/p.KVPage)*p.PageTokens - p.StateTokens; room > 0 {
			tooMuch := func(pages int) bool { return p.room((pages+1)*p.PageTokens) > room }
			e.Context = sort.Search(pagesFor(p.Context), tooMuch) * p.PageTokens
		}
		return e
	}
	p.KVTokens = int((bytes-p.Fixed())/p.KVPage) * p.PageTokens
	return nil
}

// Bytes is an amount of memory, written in decimal units.
type Bytes int64

// String returns, for example, "1.2 GB".
func (b Bytes) String() string {
	x := float64(b)
	for _, unit := range []string{"B", "kB", "MB"} {
		if x < 999.5 && x > -999.5 {
			return strings.TrimSuffix(fmt.Sprintf("%.1f", x), ".0") + " " + unit
		}
		x /= 1000
	}
	return fmt.Sprintf("%.2f GB", x)
}

// MemoryLimit returns how much memory models may take on this machine or in this
// container, and where that comes from: the limit less a reserve of a tenth, at
// least 64 MiB and at most 2 GiB. It is 0 where the system does not tell.
func MemoryLimit() (bytes int64, source string) {
	l := sysmem.Get()
	return l.Usable(), l.Source
}

// Plan says how much memory a model would take with these options. It reads the
// header of the model's file, and what cannot be computed with is an error.
func Plan(name string, opts ...Option) (*MemoryPlan, error) {
	o, err := openOptionsOf(opts)
	if err != nil {
		return nil, err
	}
	found, err := hub.Resolve(name)
	if err != nil {
		return nil, err
	}
	f, err := found.Open()
	if err != nil {
		return nil, err
	}
	p, err := planWithin(name, f, o)
	return p, errors.Join(err, f.Close())
}

// PlanFile is Plan of a file that is open. It reads its header and does not close it.
// name is for messages.
func PlanFile(name string, f *gguf.File, opts ...Option) (*MemoryPlan, error) {
	if f == nil {
		return nil, fault.Option("file", "it is nil")
	}
	o, err := openOptionsOf(opts)
	if err != nil {
		return nil, err
	}
	return planWithin(name, f, o)
}

// planWithin is planFile, within the limit that the options set.
func planWithin(name string, f *gguf.File, o openOptions) (*MemoryPlan, error) {
	if blockers := model.Blockers(f, o.load); len(blockers) > 0 {
		return nil, notOurs(name, blockers...)
	}
	p, err := planFile(f, o)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	p.Model = name
	if o.memory > 0 {
		if err := p.Fit(o.memory); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func planFile(f *gguf.File, o openOptions) (*MemoryPlan, error) {
	m, err := model.OutlineFile(f, o.load)
	if err != nil {
		return nil, err
	}
	e := engine.EstimateMemory(m, o.engine)
	plan := &MemoryPlan{
		Weights: m.TernaryBytes, Tables: m.TableBytes, Head: e.Head, Copies: m.LineBytes, Scratch: e.Scratch, insist: o.load.SkipZeros == model.SkipOn,
		KVPage: e.PageBytes, PageTokens: kernel.PageTokens, State: e.StateBytes, StateTokens: e.StatePages * kernel.PageTokens,
		TextTokens: e.SequencePages * kernel.PageTokens, Context: e.Context, KVTokens: e.Pages * kernel.PageTokens,
		cache: e.Cache,
	}
	if e.Cache.WindowLayers > 0 {
		plan.KVWindow, plan.WindowTokens = e.Cache.WindowBytes(), e.Cache.WindowPages()*kernel.PageTokens
	}
	return plan, nil
}
