package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"trit"
	"trit/hub"
)

// weigh says what is about to be downloaded, and how much memory the model will take with these options. A model that
// cannot run here is an error if it is to run, and else a warning.
func (a *app) weigh(ctx context.Context, o *hub.Offer, run bool, opts []trit.Option) error {
	need, tokens, err := a.memoryOf(ctx, o, opts)
	limit, source := a.memory()
	fmt.Fprintln(a.err, offerText(o, need, tokens, limit))
	switch {
	case err != nil && ctx.Err() != nil:
		return err
	case err != nil:
		err = fmt.Errorf("%s cannot be run here: %w", o.Name, err)
	case limit > 0 && need > limit:
		err = fmt.Errorf("%s needs about %s of memory with a text of %d tokens, and models may take %s here (%s)%s",
			o.Name, trit.Bytes(need), tokens, trit.Bytes(limit), source, smaller(limit))
	}
	if err != nil && !run {
		a.log.Warn(err.Error())
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w; nothing was downloaded, which 'trit pull' does all the same", err)
	}
	return nil
}

// memoryOf returns what a model takes with a text of hub.MemoryTokens tokens, or of the whole context if that is
// shorter; 0 if nothing tells. The error is why it cannot be run.
func (a *app) memoryOf(ctx context.Context, o *hub.Offer, opts []trit.Option) (need int64, tokens int, err error) {
	if e := o.Entry; e != nil {
		need, tokens = e.Memory, min(hub.MemoryTokens, cmp.Or(e.Context, hub.MemoryTokens))
	}
	f, err := o.Header(ctx)
	if err != nil {
		a.log.Debug("the header of the model", "error", err)
		return need, tokens, ctx.Err() // the download will say what is wrong
	}
	plan, err := trit.PlanFile(o.Name, f, opts...)
	if err = errors.Join(err, f.Close()); err != nil {
		return need, tokens, err
	}
	tokens = min(hub.MemoryTokens, plan.Context)
	return plan.LeastFor(tokens), tokens, nil
}

// offerText describes a download.
func offerText(o *hub.Offer, need int64, tokens int, limit int64) string {
	var about []string
	license := o.License
	if e := o.Entry; e != nil {
		about, license = append(about, e.Description), cmp.Or(license, e.License)
	}
	if license != "" {
		about = append(about, "licence "+license)
	}
	var b strings.Builder
	b.WriteString(o.Name)
	if len(about) > 0 {
		b.WriteString(": " + inLine(strings.Join(about, ", ")))
	}
	b.WriteString("\ndownloading")
	if o.Size > 0 {
		b.WriteString(" " + byteSize(o.Size))
	}
	if need > 0 {
		fmt.Fprintf(&b, "; it needs about %s of memory with a text of %d tokens", trit.Bytes(need), tokens)
		if limit > 0 {
			fmt.Fprintf(&b, ", and there are %s", trit.Bytes(limit))
		}
	}
	return b.String()
}

// smaller names the largest model for conversations that fits.
func smaller(limit int64) string {
	var best hub.Entry
	for _, e := range hub.Catalogue() {
		if e.Chat != "" && e.Form == hub.FormGGUF && e.Memory > 0 && e.Memory <= limit && e.Parameters > best.Parameters {
			best = e
		}
	}
	if best.Name == "" {
		return ""
	}
	return fmt.Sprintf("; %s would fit, with %s", best.Name, trit.Bytes(best.Memory))
}
