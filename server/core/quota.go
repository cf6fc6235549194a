package core

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Quota is how much somebody may have in a time. It comes back evenly: of 60 in a minute there is
// one more every second.
type Quota struct {
	N   int64 // 0: any amount
	Per time.Duration
}

// String returns the quota in words: "60 per minute".
func (q Quota) String() string {
	per := q.Per.String()
	for _, u := range quotaUnits {
		if u.Per == q.Per {
			per = u.Name
		}
	}
	return fmt.Sprintf("%d per %s", q.N, per)
}

// quotaUnits are the times of quotas.
var quotaUnits = []struct {
	Name string
	Per  time.Duration
}{{"second", time.Second}, {"minute", time.Minute}, {"hour", time.Hour}, {"day", 24 * time.Hour}}

// Key is a key that requests may have, and what its holder may do.
type Key struct {
	// Name is what the log, the metrics and messages call it; empty: by its hash.
	Name string
	// Hash is the key's SHA-256; see KeyHash.
	Hash  [sha256.Size]byte
	Admin bool
	// Requests and Tokens bound what the key may ask for: tokens of prompts and of answers together.
	// A request that has begun is finished, so that the tokens may be exceeded by that.
	Requests, Tokens Quota
}

// KeyHash returns the hash by which a key is known.
func KeyHash(key string) [sha256.Size]byte { return sha256.Sum256([]byte(key)) }

// name is what the log calls a key.
func (k *Key) name() string {
	if k.Name != "" {
		return k.Name
	}
	return hex.EncodeToString(k.Hash[:4])
}

// ParseKey reads a line of a file of keys: a key alone, or its name, the key or "sha256:" and its
// hash in hexadecimal digits, and quotas such as requests=60/minute and tokens=100000/day.
func ParseKey(line string) (Key, error) {
	fields := strings.Fields(line)
	if len(fields) == 0 {
		return Key{}, fmt.Errorf("%w: an empty key", ErrOptions)
	}
	text, k := fields[0], Key{}
	if len(fields) > 1 {
		k.Name, text = fields[0], fields[1]
	}
	k.Hash = KeyHash(text)
	if digits, ok := strings.CutPrefix(text, "sha256:"); ok {
		hash, err := hex.DecodeString(digits)
		if err != nil || len(hash) != sha256.Size {
			return k, fmt.Errorf("%w: the hash of the key %.64q: want sha256: and 64 hexadecimal digits", ErrOptions, k.Name)
		}
		k.Hash = [sha256.Size]byte(hash)
	}
	for _, field := range fields[min(2, len(fields)):] {
		what, value, _ := strings.Cut(field, "=")
		quota, err := parseQuota(value)
		switch {
		case err != nil:
			return k, fmt.Errorf("%w: the key %.64q: %.64q: want a whole number and a time, such as 60/minute", ErrOptions, k.Name, field)
		case what == "requests":
			k.Requests = quota
		case what == "tokens":
			k.Tokens = quota
		default:
			return k, fmt.Errorf("%w: the key %.64q: %.64q: want requests=N/TIME or tokens=N/TIME", ErrOptions, k.Name, field)
		}
	}
	return k, nil
}

// maxQuota bounds quotas, so that they can be computed with.
const maxQuota = 1 << 50

func parseQuota(text string) (Quota, error) {
	number, unit, _ := strings.Cut(text, "/")
	n, err := strconv.ParseInt(number, 10, 64)
	if err != nil || n < 1 || n > maxQuota {
		return Quota{}, ErrOptions
	}
	for _, u := range quotaUnits {
		if u.Name == unit {
			return Quota{n, u.Per}, nil
		}
	}
	return Quota{}, ErrOptions
}

// checkKeys finds keys and names that are there twice, and names that cannot stand in a log.
func checkKeys(keys []Key) error {
	names, hashes := map[string]bool{}, map[[sha256.Size]byte]bool{}
	for _, k := range keys {
		strange := strings.ContainsFunc(k.Name, func(r rune) bool {
			return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_-.@", r))
		})
		switch {
		case k.Hash == KeyHash("") || k.Hash == [sha256.Size]byte{}:
			return fmt.Errorf("%w: a key is empty", ErrOptions)
		case strange || len(k.Name) > 64:
			return fmt.Errorf("%w: the name %.64q of a key: want up to 64 letters, digits, _, -, . and @", ErrOptions, k.Name)
		case k.Name != "" && names[k.Name]:
			return fmt.Errorf("%w: two keys have the name %q", ErrOptions, k.Name)
		case k.Name != "" && hashes[k.Hash]:
			return fmt.Errorf("%w: the key %q is there twice", ErrOptions, k.Name)
		case k.Requests.N < 0 || k.Tokens.N < 0 || k.Requests.N > 0 && k.Requests.Per <= 0 || k.Tokens.N > 0 && k.Tokens.Per <= 0:
			return fmt.Errorf("%w: the key %q has a quota of %d requests and %d tokens; want positive ones of a positive time",
				ErrOptions, k.name(), k.Requests.N, k.Tokens.N)
		}
		names[k.Name], hashes[k.Hash] = true, true
	}
	return nil
}

// bucket is what there is left of a quota. It may be overdrawn.
type bucket struct {
	quota Quota
	level float64
	at    time.Time
}

func newBucket(q Quota, now time.Time) *bucket { return &bucket{q, float64(q.N), now} }

// wait returns how long it takes until there is one, 0 if there is.
func (b *bucket) wait(now time.Time) time.Duration {
	if b.quota.N == 0 {
		return 0
	}
	perSecond := float64(b.quota.N) / b.quota.Per.Seconds()
	b.level, b.at = min(float64(b.quota.N), b.level+now.Sub(b.at).Seconds()*perSecond), now
	return time.Duration(max(0, 1-b.level) / perSecond * float64(time.Second))
}

// full reports whether nothing of the quota is used, after wait.
func (b *bucket) full() bool { return b.level >= float64(b.quota.N) }

// KeyUse is what has been asked for with a key.
type KeyUse struct {
	Name                           string
	Requests                       int64 // that were let through
	PromptTokens, GeneratedTokens  int64
	RefusedRequests, RefusedTokens int64 // requests that were refused for a quota of these
}

// keyUse is a KeyUse with what is left of the quotas.
type keyUse struct {
	KeyUse
	requests, tokens *bucket
}

// useOf returns the use of a key, with its quotas as they are now. g.mu is held.
func (g *guards) useOf(k *Key, now time.Time) *keyUse {
	u := g.uses[k.Hash]
	if u == nil {
		u = &keyUse{}
		g.uses[k.Hash] = u
	}
	u.Name = k.name()
	if u.requests == nil || u.requests.quota != k.Requests {
		u.requests = newBucket(k.Requests, now)
	}
	if u.tokens == nil || u.tokens.quota != k.Tokens {
		u.tokens = newBucket(k.Tokens, now)
	}
	return u
}

// spend counts a request with a key, or says which of its quotas is used up.
func (g *guards) spend(k *Key, now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.useOf(k, now)
	if wait := u.tokens.wait(now); wait > 0 {
		u.RefusedTokens++
		return overQuota(u.Name, "tokens", k.Tokens, wait)
	}
	if wait := u.requests.wait(now); wait > 0 {
		u.RefusedRequests++
		return overQuota(u.Name, "requests", k.Requests, wait)
	}
	u.requests.level--
	u.Requests++
	return nil
}

// tellQuotas writes what is left of a key's quotas into the header of an answer, as OpenAI's servers do.
func (g *guards) tellQuotas(h http.Header, k *Key, now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.useOf(k, now)
	for of, b := range map[string]*bucket{"requests": u.requests, "tokens": u.tokens} {
		if b.quota.N == 0 {
			continue
		}
		b.wait(now)
		missing := (float64(b.quota.N) - b.level) / float64(b.quota.N) * float64(b.quota.Per)
		h.Set("X-Ratelimit-Limit-"+of, strconv.FormatInt(b.quota.N, 10))
		h.Set("X-Ratelimit-Remaining-"+of, strconv.FormatInt(int64(max(0, b.level)), 10))
		h.Set("X-Ratelimit-Reset-"+of, time.Duration(missing).Round(time.Millisecond).String())
	}
}

// spent counts the tokens of a request with a key that is over.
func (g *guards) spent(k *Key, prompt, generated int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.useOf(k, time.Now())
	u.PromptTokens += prompt
	u.GeneratedTokens += generated
	u.tokens.level -= float64(prompt + generated)
}

// OverQuota is what a key has used up.
type OverQuota struct {
	Key   string // its name
	Of    string // "requests" or "tokens"
	Quota Quota
}

func overQuota(name, of string, q Quota, wait time.Duration) *Error {
	wait = wait.Round(time.Second) + time.Second
	return &Error{Status: http.StatusTooManyRequests, Code: "rate_limit_exceeded", Retry: wait,
		Quota: &OverQuota{name, of, q}, Message: fmt.Sprintf("the key %s has used up its %s (%s); try again in %s", name, of, q, wait)}
}

// KeyUses returns what has been asked for with the keys that are known now, sorted by name.
func (s *Server) KeyUses() []KeyUse {
	g := s.guards
	g.mu.Lock()
	defer g.mu.Unlock()
	byName := map[string]KeyUse{}
	all := g.keys.Load().all
	for i := range all {
		u := g.useOf(&all[i], time.Now())
		byName[u.Name] = u.KeyUse
	}
	var out []KeyUse
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, byName[name])
	}
	return out
}
