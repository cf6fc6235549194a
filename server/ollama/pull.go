package ollama

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"trit/convert"
	"trit/gguf"
	"trit/hub"
	"trit/server/core"
)

// pullLine says how far a download is.
type pullLine struct {
	Status    string `json:"status"`
	Digest    string `json:"digest,omitempty"`
	Total     int64  `json:"total,omitempty"`
	Completed int64  `json:"completed,omitempty"`
}

// pull downloads a model into the store. It goes on as long as the client
// listens; another request goes on where this one stopped.
func (a *api) pull(w http.ResponseWriter, r *http.Request) error {
	var q pullRequest
	if err := core.ReadJSON(r, &q); err != nil {
		return err
	}
	name := q.name()
	out := a.NewReply(w, r, core.FormOf(q.Stream == nil || *q.Stream, core.Lines))
	defer out.Close()
	ctx := out.Context()
	say := func(line pullLine) { _ = out.Piece("", line) } // ctx ends if nobody listens any more
	done := func() error {
		if !out.Streams() {
			return core.WriteJSON(w, http.StatusOK, pullLine{Status: "success"})
		}
		return out.Piece("", pullLine{Status: "success"})
	}
	address, ref, err := pullAddress(name)
	if err != nil {
		// Programs that pull before they ask may mean a model that is here, and
		// did not come from anywhere.
		if _, here := a.find(name); here == nil {
			say(pullLine{Status: "pulling manifest"})
			return done()
		}
		return err
	}
	if ref.Repository == "" {
		return core.BadRequest("model", "%q is a URL, which this server does not fetch; its operator can", name)
	}
	digest := pullDigest(name, address)
	say(pullLine{Status: "pulling manifest"})
	o := hub.PullOptions{Log: a.Log, Progress: func(p hub.Progress) {
		line := pullLine{Status: "pulling " + digest[:12], Digest: "sha256:" + digest, Total: p.Total,
			Completed: p.Done}
		if p.Stage == hub.Verifying {
			line.Status = "verifying sha256 digest"
		}
		say(line)
	}}
	o.Convert, o.Variant = a.pullConversion(say)
	pulled, err := hub.Pull(ctx, address, o)
	if err != nil {
		if r.Context().Err() == nil && ctx.Err() != nil {
			return core.ErrAnswered
		}
		return out.Fail(storeError(err), func(e *core.Error) error { return out.Piece("", errorLine{Error: e.Message}) })
	}
	if !pulled.UpToDate {
		if err := a.Models.Drop(ctx, pulled.Name); err != nil {
			a.Log.Info("a model was replaced while it is in use; the new one is loaded when the old one is unloaded",
				"model", pulled.Name, "reason", err)
		}
	}
	say(pullLine{Status: "writing manifest"})
	return done()
}

// pullAddress returns the address that a name of a model to download stands for.
// Ollama's own way to name repositories of the hub is understood too.
func pullAddress(name string) (string, hub.Ref, error) {
	if name == "" {
		return "", hub.Ref{}, core.BadRequest("model", "model is required")
	}
	address := strings.TrimSuffix(name, latest)
	for _, host := range []string{"hf.co/", "huggingface.co/"} {
		if rest, ok := strings.CutPrefix(address, host); ok {
			address = "hf:" + rest
		}
	}
	ref, err := hub.ParseRef(address)
	if err != nil {
		if strings.HasPrefix(address, "hf:") || strings.ContainsAny(address, " \t\n") { // not how models are called
			return "", ref, core.BadRequest("model", "%v", err)
		}
		return "", ref, &core.Error{Status: http.StatusNotFound, Code: "model_not_found", Param: "model",
			Message: fmt.Sprintf("pull model manifest: file does not exist: %q is neither a name of the catalogue "+
				"nor hf:owner/repo", name)}
	}
	return address, ref, nil
}

// pullDigest returns what tells a download from others to a client: the
// checksum of the file where the catalogue knows it.
func pullDigest(name, address string) string {
	if e, ok := hub.Lookup(strings.TrimSuffix(name, latest)); ok && len(e.SHA256) == 2*sha256.Size {
		return e.SHA256
	}
	sum := sha256.Sum256([]byte(address))
	return hex.EncodeToString(sum[:])
}

// pullConversion returns what makes a model of a checkpoint, and what it makes.
// It is what trit pull does, so that neither repeats the other's work.
func (a *api) pullConversion(say func(pullLine)) (func(ctx context.Context, dir, out string) error, string) {
	o := convert.Options{Type: gguf.TypeI2S, Embedding: convert.DefaultEmbedding(gguf.TypeI2S)}
	variant := strings.ToLower(o.Type.String() + "/" + o.Embedding.String())
	return func(ctx context.Context, dir, out string) error {
		o := o
		o.Input, o.Output = dir, out
		o.Progress = func(p convert.Progress) {
			say(pullLine{Status: "converting", Total: p.TotalBytes, Completed: p.Bytes})
		}
		report, err := convert.FromHF(ctx, o)
		if err != nil {
			return err
		}
		for _, warning := range report.Warnings {
			a.Log.Warn(warning)
		}
		return nil
	}, variant
}

// storeError gives the errors of the store and of downloads their statuses.
func storeError(err error) error {
	for _, known := range []struct {
		is     error
		status int
		code   string
	}{
		{hub.ErrName, http.StatusBadRequest, "invalid_value"},
		{hub.ErrAmbiguous, http.StatusBadRequest, "ambiguous_model"},
		{hub.ErrModelfile, http.StatusBadRequest, "invalid_value"},
		{hub.ErrExists, http.StatusConflict, "model_exists"},
		{hub.ErrBase, http.StatusConflict, "model_in_use"},
		{hub.ErrRemote, http.StatusNotFound, "model_not_found"},
		{hub.ErrAccess, http.StatusForbidden, "access_denied"},
		{hub.ErrNoSpace, http.StatusInsufficientStorage, "no_space"},
		{hub.ErrOffline, http.StatusBadGateway, "hub_unreachable"},
		{hub.ErrServer, http.StatusBadGateway, "hub_failed"},
		{hub.ErrChecksum, http.StatusBadGateway, "hub_failed"},
		{hub.ErrSize, http.StatusBadGateway, "hub_failed"},
		{hub.ErrChanged, http.StatusBadGateway, "hub_failed"},
		{hub.ErrUnsafePath, http.StatusBadGateway, "hub_failed"},
		{hub.ErrNotModel, http.StatusUnprocessableEntity, "not_a_model"},
	} {
		if errors.Is(err, known.is) {
			return &core.Error{Status: known.status, Code: known.code, Message: fmt.Sprint(err)}
		}
	}
	return err
}
