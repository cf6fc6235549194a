package mock

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Model is a model that the server says it has.
type Model struct {
	ID         string
	Size       int64 // bytes
	Context    int   // tokens
	Parameters int64
	State      string
	Progress   float64 // of loading, from 0 to 1
	Source     string
}

// limit is the memory that models may take together, in bytes.
const limit = 8_000_000_000

// SetModels replaces the models that are here.
func (s *Server) SetModels(models ...*Model) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.here = models
}

// RequireAdmin makes downloads and deletions demand a key.
func (s *Server) RequireAdmin(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.admin = key
}

// Asked returns what was asked of models so far: "load NAME", "pull NAME", "stopped NAME" and the like.
func (s *Server) Asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

// SetState changes the state of a model and how far it is loaded.
func (s *Server) SetState(id, state string, progress float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.find(id); m != nil {
		m.State, m.Progress = state, progress
	}
}

// find returns the model with a name, nil if there is none. The caller holds mu.
func (s *Server) find(id string) *Model {
	for _, m := range s.here {
		if m.ID == id {
			return m
		}
	}
	return nil
}

func (s *Server) modelRoutes() {
	for pattern, handle := range map[string]http.HandlerFunc{
		"GET /v1/models": s.models, "GET /v1/models/{id...}": s.model, "GET /ui/catalogue": s.catalogue,
		"POST /api/show": s.show, "POST /api/pull": s.pull, "DELETE /api/delete": s.change,
		"POST /models/load": s.change, "POST /tokenize": tokenize, "POST /models/unload": s.change,
	} {
		s.mux.HandleFunc(pattern, s.guard(handle))
	}
}

func (m *Model) reply() map[string]any {
	taken := int64(0)
	if m.State == "loaded" {
		taken = m.Size * 3 / 2
	}
	return map[string]any{"id": m.ID, "root": m.ID, "object": "model", "created": 1, "owned_by": "trit", "context_length": m.Context,
		"meta":   map[string]any{"n_params": m.Parameters, "size": m.Size, "architecture": "bitnet", "quantization": "I2_S", "n_ctx_train": m.Context},
		"status": map[string]any{"value": m.State, "progress": m.Progress}, "source": m.Source,
		"memory": map[string]any{"needed": m.Size * 3 / 2, "taken": taken}}
}

func (s *Server) models(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list, used := []any{}, int64(0)
	for _, m := range s.here {
		list = append(list, m.reply())
		if m.State == "loaded" {
			used += m.Size * 3 / 2
		}
	}
	reply(w, map[string]any{"object": "list", "data": list, "memory": map[string]any{"used": used, "limit": limit}})
}

func (s *Server) model(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if m := s.find(r.PathValue("id")); m != nil {
		reply(w, m.reply())
		return
	}
	fail(w, http.StatusNotFound, "model_not_found", "There is no such model.")
}

func (s *Server) catalogue(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]any{"models": []any{
		map[string]any{"name": "bitnet-2b-4t", "repository": "a/b", "size": 1_190_000_000, "parameters": 2_400_000_000, "context": 4096, "license": "mit", "description": "BitNet b1.58 2B4T by Microsoft, chat, ready to run"},
		map[string]any{"name": "bitnet-large", "repository": "a/c", "parameters": 700_000_000, "context": 2048, "license": "mit", "description": "BitNet b1.58 0.7B <img src=x onerror=window.pwned=1>"},
	}})
}

func (s *Server) show(w http.ResponseWriter, _ *http.Request) {
	reply(w, map[string]any{"license": "mit", "template": "{% for message in messages %}{{ message.content }}{% endfor %}\n<script>window.pwned=2</script>",
		"parameters": "temperature 0.6\ntop_p 0.9\n", "capabilities": []string{"completion", "tools"}, "model_info": map[string]any{"bitnet.block_count": 30}})
}

// tokenize makes a token of every four bytes.
func tokenize(w http.ResponseWriter, r *http.Request) {
	var q struct{ Content string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 8<<20)).Decode(&q); err != nil {
		fail(w, http.StatusBadRequest, "invalid_json", err.Error())
		return
	}
	reply(w, map[string]any{"tokens": make([]int, (len(q.Content)+3)/4)})
}

// named reads which model a request is about, and checks the admin's key if that is wanted.
func (s *Server) named(w http.ResponseWriter, r *http.Request, what string, admin bool) (string, bool) {
	var q struct{ Model string }
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<16)).Decode(&q); err != nil {
		fail(w, http.StatusBadRequest, "invalid_json", err.Error())
		return "", false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if admin && s.admin != "" && r.Header.Get("Authorization") != "Bearer "+s.admin {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"error":"this needs one of the server's admin keys"}`)
		return "", false
	}
	s.asked = append(s.asked, what+" "+q.Model)
	return q.Model, true
}

// change loads, unloads and deletes. Loading leaves the model "loading" until SetState says that it is loaded.
func (s *Server) change(w http.ResponseWriter, r *http.Request) {
	what := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	id, ok := s.named(w, r, what, what == "delete")
	if !ok {
		return
	}
	switch what {
	case "load":
		s.SetState(id, "loading", 0.43)
		for r.Context().Err() == nil {
			s.mu.Lock()
			m := s.find(id)
			done := m == nil || m.State != "loading"
			s.mu.Unlock()
			if done {
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
	case "unload":
		s.SetState(id, "unloaded", 0)
	case "delete":
		s.mu.Lock()
		s.here = slices.DeleteFunc(s.here, func(m *Model) bool { return m.ID == id })
		s.mu.Unlock()
		return
	}
	reply(w, map[string]any{"success": true})
}

// pull downloads: the model "slow" goes on until it is stopped, "missing" fails, others arrive.
func (s *Server) pull(w http.ResponseWriter, r *http.Request) {
	id, ok := s.named(w, r, "pull", true)
	if !ok {
		return
	}
	say := func(line map[string]any) {
		data, err := json.Marshal(line)
		if err != nil {
			panic(err)
		}
		_, _ = w.Write(append(data, '\n')) // the context ends if nobody listens
		_ = http.NewResponseController(w).Flush()
	}
	const total = 1_000_000_000
	say(map[string]any{"status": "pulling manifest"})
	for i := int64(0); i <= 10 && r.Context().Err() == nil; i++ {
		if id == "missing" && i == 2 {
			say(map[string]any{"error": "there is no repository <b>missing</b>"})
			return
		}
		say(map[string]any{"status": "pulling 0123456789ab", "total": total, "completed": i * total / 10})
		for id == "slow" && i == 4 && r.Context().Err() == nil {
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.Context().Err() != nil {
		s.asked = append(s.asked, "stopped "+id)
		return
	}
	s.here = append(s.here, &Model{ID: id, Size: total, Context: 4096, Parameters: 2_400_000_000, State: "unloaded", Source: "store"})
	say(map[string]any{"status": "success"})
}
