package head

import (
	"math"
	"testing"
)

// TestPlan feeds the policy with the counts of trials and expects the next plans.
func TestPlan(t *testing.T) {
	// Trials of 1000 tokens and 100 panels.
	trial := func(unsettled, survivors int) counts {
		c := counts{tokens: 1000, panels: 100, unsettled: unsettled}
		c.refined[1] = survivors
		return c
	}
	for _, test := range []struct {
		name    string
		trials  []counts
		states  int
		narrows bool
		want    plan
	}{
		{"nothing is known", nil, 1, true, plan{}},
		{"nothing is known of many states", nil, narrowStates, true, plan{narrow: true}},
		{"too few to be narrow", nil, narrowStates - 1, true, plan{}},
		{"no kernels for narrow scans", nil, 16, false, plan{}},
		{"one hard trial is not enough", []counts{trial(100, 0)}, 1, true, plan{}},
		{"two are", []counts{trial(100, 0), trial(100, 0)}, 1, true, plan{plane: 1}},
		{"for many states one is", []counts{trial(100, 0)}, manyStates, true, plan{plane: 1}},
		{"a hard time is forgotten", []counts{trial(100, 0), trial(100, 0), trial(0, 0), trial(0, 0)}, 1, true, plan{}},
		{"too many survivors", []counts{trial(0, 300), trial(0, 300)}, 8, true, plan{}},
		{"few survivors", []counts{trial(0, 90), trial(0, 90)}, 8, true, plan{narrow: true}},
		{"trials without panels say nothing", []counts{{tokens: 1000}}, 1, true, plan{}},
	} {
		var p policy
		for _, c := range test.trials {
			p.learn(c)
		}
		if got := p.plan(test.states, test.narrows); got != test.want {
			t.Errorf("%s: %+v, want %+v (%+v)", test.name, got, test.want, p)
		}
	}
}

// TestPlanNarrowHysteresis: once narrow scans have left too many survivors, they come
// back only when wide ones leave far fewer.
func TestPlanNarrowHysteresis(t *testing.T) {
	var p policy
	for _, step := range []struct {
		survivors float64
		narrow    bool
	}{{0.09, true}, {0.11, false}, {0.09, false}, {0.03, false}, {0.02, true}, {0.09, true}} {
		p.survivors = step.survivors
		if got := p.plan(8, true).narrow; got != step.narrow {
			t.Errorf("with %g survivors: narrow %t", step.survivors, got)
		}
		p.plan(1, true) // says nothing about narrow scans
	}
}

// TestJudge: what a trial costs decides between going on and all logits.
func TestJudge(t *testing.T) {
	c := costs{0.25, 0.375, 0.125} // 4, 2 and 2 bits beside F16
	trial := func(second, third, stored int) *counts {
		n := &counts{tokens: 1000, exact: stored}
		n.refined = [2]int{second, third}
		return n
	}
	for _, test := range []struct {
		name           string
		plan           plan
		states         int
		trial          *counts
		giveUp, noGain bool
	}{
		{"all settled", plan{}, 1, trial(0, 0, 0), false, false},
		{"a tenth goes on", plan{}, 1, trial(100, 50, 10), false, false},
		{"worse than all, but the scan is paid", plan{}, 1, trial(1000, 500, 100), false, true},
		{"nearly all rows", plan{}, 1, trial(1000, 1000, 900), true, true},
		{"the same of two planes", plan{plane: 1}, 1, trial(0, 500, 300), false, true},
		{"all logits of many states are cheap", plan{}, 16, trial(500, 100, 100), true, true},
	} {
		v := c.judge(test.plan, test.states, test.trial)
		if v.giveUp != test.giveUp || v.noGain != test.noGain {
			t.Errorf("%s: %+v", test.name, v)
		}
	}
	// Many states share a scan, so that it is a gain beside rows of 8 bits too.
	small := costs{0.44, 0.65, 0.22}
	if v := small.judge(plan{plane: 1}, 8, trial(0, 0, 0)); v.noGain {
		t.Errorf("a scan for eight states beside Q8_0: %+v", v)
	}
	if v := c.judge(plan{}, 1, trial(200, 0, 0)); math.Abs(v.cost-0.2*panelFactor*0.375) > 1e-12 {
		t.Errorf("a fifth of the second plane costs %g", v.cost)
	}
}

func TestJoinPlain(t *testing.T) {
	for _, test := range []struct {
		cost          float64
		states, plain int
		want          bool
	}{
		{0, 0, 3, false},
		{0.5, 1, 0, false}, // alone
		{0.3, 1, 1, false}, // a second row costs √2 − 1
		{0.5, 1, 1, true},
		{0.3, 1, 8, true}, // a ninth one only 0.17
	} {
		if got := joinPlain(test.cost, test.states, test.plain); got != test.want {
			t.Errorf("%d states at a cost of %g beside %d plain ones: %t", test.states, test.cost, test.plain, got)
		}
	}
}

// TestBackoff counts the selections between two tries.
func TestBackoff(t *testing.T) {
	var b backoff
	next := func() int {
		n := 0
		for !b.try() {
			n++
		}
		return n
	}
	for i, want := range []int{0, 1, 2, 4, 8, 16, 16, 16} {
		if got := next(); got != want {
			t.Fatalf("after %d failures: a break of %d selections, want %d", i, got, want)
		}
		b.fail()
		b.fail() // the second report is of the same try
	}
	next() // is a gain
	if !b.try() {
		t.Error("a break after a gain")
	}
	b.fail()
	if got := next(); got != 1 {
		t.Errorf("the first failure after a gain makes a break of %d", got)
	}
}
