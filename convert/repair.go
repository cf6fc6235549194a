package convert

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"trit/chat"
	"trit/gguf"
	"trit/internal/model"
	"trit/quant"
	"trit/tokenizer"
)

// RepairOptions say what to repair, and decide what nothing in a file tells.
type RepairOptions struct {
	// Input is the open file. It stays open and is never changed.
	Input *gguf.File
	// Output is the file to write; an existing file is replaced, unless it is
	// the input.
	Output string

	// I2SLayout is the packing of the input's I2_S tensors. Those in layouts B
	// and C are packed anew in layout A.
	I2SLayout quant.I2SLayout
	// Pre, if not empty, becomes tokenizer.ggml.pre.
	Pre string
	// Template, if not empty, is the name of the built-in chat template that
	// replaces the file's.
	Template string
	// HiddenAct and Activations, if not zero, are written down.
	HiddenAct   model.HiddenAct
	Activations model.Activations

	// Progress, if not nil, is called now and then, from the goroutine that
	// called Repair.
	Progress func(Progress)
}

// RepairReport says what Repair did.
type RepairReport struct {
	Input  string `json:"input"`
	Output string `json:"output"`
	// Repaired are the findings that are gone, and what the options changed.
	Repaired []Finding `json:"repaired"`
	// Remaining are the findings that need a decision or another file.
	Remaining []Finding `json:"remaining"`
	// Keys are the metadata keys that were added, changed or removed.
	Keys []string `json:"keys"`
}

// Repair writes the content of a file as one clean little-endian GGUF v3 file: in
// order, aligned, without gaps or trailing bytes. It mends what can be derived (see
// [Findings]) and what the options decide. All other keys and all tensors are kept,
// known or not; the input is never touched. Structure comes first: a file without
// findings is written all the same.
func Repair(ctx context.Context, o RepairOptions) (*RepairReport, error) {
	return repair(ctx, o, gguf.WriteFile)
}

func repair(ctx context.Context, o RepairOptions, write writeFunc) (*RepairReport, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if err := stopped(ctx); err != nil {
		return nil, err
	}
	p, r, err := planRepair(o)
	if err != nil {
		return nil, err
	}
	if err := newWriter(ctx, p, team{}, nil, o.Progress).writeFile(write); err != nil {
		return nil, err
	}
	return r, nil
}

// planRepair plans a repair, by the file's header alone. All but what the writer does
// is in the report already.
func planRepair(o RepairOptions) (*plan, *RepairReport, error) {
	f := o.Input
	p := &plan{output: o.Output, meta: f.Metadata.Clone(), report: &Report{}}
	r := &RepairReport{Input: f.Path, Output: o.Output, Repaired: []Finding{}, Remaining: []Finding{}, Keys: []string{}}
	w := metaWriter{meta: p.meta}
	cleanMetadata(f, &w)
	chosen, err := o.chosen(f)
	if err != nil {
		return nil, nil, err
	}
	for _, x := range append(diagnose(f), chosen...) {
		settled := slices.ContainsFunc(chosen, func(y fix) bool { return y.Code == x.Code })
		if !x.Repairable && !settled {
			r.Remaining = append(r.Remaining, x.Finding)
			continue
		}
		r.Repaired = append(r.Repaired, x.Finding)
		if x.apply != nil {
			x.apply(&w)
		}
	}
	if w.err != nil {
		return nil, nil, w.err
	}
	r.Keys = append(r.Keys, changedKeys(f.Metadata, p.meta)...)
	return p, r, p.repairTensors(f, o.I2SLayout)
}

func (o *RepairOptions) check() error {
	switch {
	case o.Input == nil:
		return fmt.Errorf("%w: no input is given", ErrOptions)
	case o.Output == "":
		return fmt.Errorf("%w: no output is given", ErrOptions)
	case o.I2SLayout > quant.LayoutC:
		return fmt.Errorf("%w: %v", ErrOptions, o.I2SLayout)
	case o.Pre != "" && !slices.Contains(tokenizer.PreTokenizers(), o.Pre):
		return fmt.Errorf("%w: pre-tokenizer %q, want one of %s", ErrOptions, o.Pre, strings.Join(tokenizer.PreTokenizers(), ", "))
	}
	if o.Template != "" {
		if _, ok := chat.Builtin(o.Template); !ok {
			return fmt.Errorf("%w: chat template %q, want one of %s", ErrOptions, o.Template, strings.Join(chat.BuiltinNames(), ", "))
		}
	}
	return checkNotInput(o.Input, o.Output)
}

// chosen lists what the options decide.
func (o *RepairOptions) chosen(f *gguf.File) ([]fix, error) {
	var fixes []fix
	set := func(code, key, value, shown string) {
		fixes = append(fixes, fix{
			Finding: Finding{Code: code, Message: key + " is chosen by the caller", Repairable: true, Remedy: "it becomes " + shown},
			apply:   func(w *metaWriter) { w.set(key, value) },
		})
	}
	if o.Pre != "" {
		set(FindingPre, "tokenizer.ggml.pre", o.Pre, o.Pre)
	}
	if o.Template != "" {
		tpl, _ := chat.Builtin(o.Template) // check has found it
		set(FindingTemplate, "tokenizer.chat_template", tpl.Source(), "the built-in template "+o.Template)
	}
	if o.HiddenAct != 0 || o.Activations != 0 {
		arch, err := f.Metadata.String("general.architecture")
		if err != nil {
			return nil, fmt.Errorf("%w: the keys of the activations begin with it: %w", ErrConfig, err)
		}
		if o.HiddenAct != 0 {
			set(FindingHiddenAct, arch+".hidden_act", o.HiddenAct.String(), o.HiddenAct.String())
		}
		if o.Activations != 0 {
			set(FindingFloat, arch+".activations", o.Activations.String(), o.Activations.String())
		}
	}
	if o.I2SLayout != quant.LayoutA {
		n := 0
		for _, t := range f.Tensors {
			if t.Type == gguf.TypeI2S {
				n++
			}
		}
		if n == 0 {
			return nil, fmt.Errorf("%w: layout %v is given for I2_S tensors, but the file has none", ErrOptions, o.I2SLayout)
		}
		fixes = append(fixes, fix{Finding: Finding{
			Code: FindingLayout, Message: fmt.Sprintf("%d I2_S tensors are in layout %v, by the caller's word", n, o.I2SLayout),
			Repairable: true, Remedy: "they are packed anew in layout " + quant.LayoutA.String(),
		}})
	}
	return fixes, nil
}

// repairTensors plans each tensor. Only I2_S tensors change, and they only their
// layout.
func (p *plan) repairTensors(f *gguf.File, layout quant.I2SLayout) error {
	for _, t := range f.Tensors {
		j := &job{name: t.Name, dims: t.Dims, typ: t.Type, tensor: t, layout: layout, how: copied}
		if t.Type == gguf.TypeI2S && layout != quant.LayoutA {
			j.how = repacked
			if n := wholeRows(t, layout) * t.Cols(); n > maxPiece || layout == quant.LayoutC && t.Rows()%4 != 0 {
				return fmt.Errorf("%w: %s with dimensions %v cannot be in layout %v", ErrType, t.Name, t.Dims, layout)
			}
		}
		p.add(j)
	}
	return nil
}

// changedKeys lists the keys that two sets of metadata do not share.
func changedKeys(before, after *gguf.Metadata) []string {
	var keys []string
	for key, v := range after.All() {
		if w, ok := before.Get(key); !ok || !v.Equal(w) {
			keys = append(keys, key)
		}
	}
	for _, key := range before.Keys() {
		if !after.Has(key) {
			keys = append(keys, key)
		}
	}
	return keys
}
