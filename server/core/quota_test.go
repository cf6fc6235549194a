package core

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestParseKey(t *testing.T) {
	hash := KeyHash("secret")
	for line, want := range map[string]Key{
		"secret":                          {Hash: hash},
		"  alice\tsecret ":                {Name: "alice", Hash: hash},
		"alice secret requests=60/minute": {Name: "alice", Hash: hash, Requests: Quota{60, time.Minute}},
		"alice secret tokens=5/day requests=1/second": {Name: "alice", Hash: hash, Requests: Quota{1, time.Second},
			Tokens: Quota{5, 24 * time.Hour}},
		"alice sha256:" + hex.EncodeToString(hash[:]) + " tokens=7/hour": {Name: "alice", Hash: hash, Tokens: Quota{7, time.Hour}},
	} {
		if got, err := ParseKey(line); err != nil || got != want {
			t.Errorf("%q: %+v, %v", line, got, err)
		}
	}
	for line, says := range map[string]string{
		"": "empty", "alice sha256:12": "64 hexadecimal digits", "alice secret words=3/day": "requests=N/TIME",
		"alice secret tokens=0/day": "60/minute", "alice secret tokens=-1/day": "60/minute", "alice secret tokens=9": "60/minute",
		"alice secret tokens=9/week": "60/minute", "alice secret tokens=1.5/day": "60/minute", "alice secret tokens": "60/minute",
		"alice secret tokens=99999999999999999999/day": "60/minute", "alice secret tokens=1<<60/day": "60/minute",
	} {
		if _, err := ParseKey(line); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", line, err, says)
		}
	}
	if s := (Quota{100, 24 * time.Hour}).String() + ", " + (Quota{2, 90 * time.Second}).String(); s != "100 per day, 2 per 1m30s" {
		t.Error(s)
	}
}

func TestCheckKeys(t *testing.T) {
	a, b := KeyHash("a"), KeyHash("b")
	if err := checkKeys([]Key{{Hash: a}, {Hash: a}, {Name: "b", Hash: b, Tokens: Quota{1, time.Hour}}}); err != nil {
		t.Error(err) // a key that is an admin's too is there twice
	}
	for says, keys := range map[string][]Key{
		"is empty":      {{Hash: KeyHash("")}},
		"a key is":      {{Name: "a"}},
		"have the name": {{Name: "a", Hash: a}, {Name: "a", Hash: b}},
		"there twice":   {{Hash: a}, {Name: "a", Hash: a}},
		"up to 64":      {{Name: "a b", Hash: a}},
		"quota of":      {{Name: "a", Hash: a, Tokens: Quota{1, 0}}},
		"-1 requests":   {{Name: "a", Hash: a, Requests: Quota{-1, time.Hour}}},
	} {
		if err := checkKeys(keys); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", keys, err, says)
		}
	}
}

// TestQuotas: requests and tokens come back evenly, and what is overdrawn has to come back first.
func TestQuotas(t *testing.T) {
	g := &guards{uses: map[[32]byte]*keyUse{}}
	k := &Key{Name: "a", Hash: KeyHash("a"), Requests: Quota{2, time.Minute}, Tokens: Quota{100, 50 * time.Second}}
	start := time.Now()
	at := func(seconds float64) error { return g.spend(k, start.Add(time.Duration(seconds*float64(time.Second)))) }
	refused := func(err error, of string, retry time.Duration) {
		t.Helper()
		e, ok := errors.AsType[*Error](err)
		if !ok || e.Status != 429 || e.Quota.Of != of || e.Retry != retry || !strings.Contains(e.Message, of) {
			t.Errorf("%v (%+v), want %s in %s", err, e, of, retry)
		}
	}
	for range 2 {
		if err := at(0); err != nil {
			t.Fatal(err)
		}
	}
	refused(at(0), "requests", 31*time.Second)
	refused(at(29), "requests", 2*time.Second)
	if err := at(30); err != nil {
		t.Error(err)
	}
	refused(at(30), "requests", 31*time.Second)
	u := g.uses[k.Hash]
	u.tokens.level -= 139 // 41 of them are missing, which are 2 a second
	refused(at(30), "tokens", 21*time.Second)
	if err := at(61); err != nil {
		t.Error(err)
	}
	if u.Requests != 4 || u.RefusedRequests != 3 || u.RefusedTokens != 1 {
		t.Errorf("%+v", u.KeyUse)
	}
	k.Requests.N = 9 // a new quota begins anew
	if err := at(61); err != nil || u.requests.level != 8 {
		t.Errorf("%v, %v are left", err, u.requests.level)
	}
}
