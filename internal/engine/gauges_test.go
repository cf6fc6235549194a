package engine_test

import (
	"testing"

	_ "trit/demo"
	"trit/hub"
	"trit/internal/engine"
	"trit/internal/kernel"
	"trit/internal/model"
	_ "trit/internal/model/arch"
)

func TestGauges(t *testing.T) {
	found, err := hub.Resolve("demo")
	if err != nil {
		t.Fatal(err)
	}
	f, err := found.Open()
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Load(f, model.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	e, err := engine.New(m, engine.Options{Threads: 1, CachePages: 16})
	if err != nil {
		t.Fatal(err)
	}
	s := engine.NewScheduler(e)
	defer s.Close()
	if g := s.Gauges(); g.Pages != 16 || g.FreePages() != 16 || g.Sessions != 0 || g.PageBytes != e.Cache().PageBytes() {
		t.Errorf("at the start: %+v", g)
	}
	c, err := s.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	tokens := make([]int32, 2*kernel.PageTokens+1)
	if err := c.Run(t.Context(), tokens, engine.None, 0); err != nil {
		t.Fatal(err)
	}
	// NewSession is answered after the step's state has been published.
	d, err := s.NewSession()
	if err != nil {
		t.Fatal(err)
	}
	if g := s.Gauges(); g.UsedPages != 3 || g.FreePages() != 13 || g.Sessions != 2 || g.Queued != 0 || g.Steps != 1 || g.Rows != int64(len(tokens)) || g.Prefix.Prompts != 1 {
		t.Errorf("after a prompt: %+v", g)
	}
	c.Close()
	d.Close()
	if g := s.Gauges(); g.UsedPages != 0 || g.PrefixPages != 2 || g.Sessions != 0 {
		t.Errorf("after closing: %+v", g)
	}
	if err := s.ForgetPrefixes(); err != nil {
		t.Fatal(err)
	}
	if g := s.Gauges(); g.PrefixPages != 0 || g.Prefix.Pages != 0 {
		t.Errorf("after forgetting: %+v", g)
	}
}
