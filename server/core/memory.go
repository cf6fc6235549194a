package core

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"trit"
)

// reserve sets memory aside for a model, as much as lets all answers have whole
// contexts, but not more than leaves some for others. Idle models are unloaded if it
// would not fit otherwise; while models are in use it waits for one of them to become
// idle, as long as somebody waits for this one.
func (ms *Models) reserve(l *Loaded, plan *trit.MemoryPlan) error {
	for {
		ms.mu.Lock()
		if ms.closed {
			ms.mu.Unlock()
			return ErrShuttingDown
		}
		if ms.limit == 0 {
			l.plan, l.Charge = plan, plan.Total()
			ms.used += l.Charge
			ms.mu.Unlock()
			return nil
		}
		free := ms.limit - ms.used
		plan.Spare(free)
		if plan.Least() <= free {
			kv := max(plan.Least()-plan.Fixed(), (free-plan.Fixed())/ms.sharers(l))
			err := plan.Fit(plan.Fixed() + kv)
			l.plan, l.Charge = plan, plan.Total()
			ms.used += l.Charge
			ms.mu.Unlock()
			return err
		}
		victim, busy, stays := ms.candidate(l)
		if victim == nil {
			limit, freed := ms.limit, ms.freed
			fits, wanted := len(busy) > 0 && plan.Least() <= limit-stays, l.leases > 0
			ms.mu.Unlock()
			if fits && wanted {
				ms.log.Info("a model waits for memory", "model", l.Name, "in_use", strings.Join(busy, ", "))
				select {
				case <-freed:
				case <-ms.closing.Done():
				}
				continue
			}
			if fits {
				return &Error{Status: http.StatusServiceUnavailable, Code: "out_of_memory", Retry: 5 * time.Second,
					Message: fmt.Sprintf("the model %s needs %s and there is %s of %s (%s) while others are in use "+
						"(%s); try again later",
						plan.Model, trit.Bytes(plan.Least()), trit.Bytes(free), trit.Bytes(limit), ms.source,
						strings.Join(busy, ", "))}
			}
			err := plan.Fit(limit - stays)
			if err == nil { // what stays could only just have changed
				err = fmt.Errorf("%w: %s", trit.ErrMemory, plan.Model)
			}
			return fmt.Errorf("%w (the limit is %s, from %s; requests and the server's own models keep %s of it)", err,
				trit.Bytes(limit), ms.source, trit.Bytes(stays))
		}
		ms.mu.Unlock()
		ms.log.Info("unloading a model to make room", "model", victim.Name, "for", l.Name)
		<-victim.gone
	}
}

// sharers returns among how many the memory that is left is to be shared. The
// server's own models leave their share to those of them that are still to come,
// the others always to one more.
func (ms *Models) sharers(l *Loaded) int64 {
	if !l.own {
		return 2
	}
	var n int64
	for name := range ms.own {
		if other := ms.loaded[name]; other == nil || other.Charge == 0 {
			n++
		}
	}
	return max(n, 1)
}

// candidate begins to unload the least recently used of the idle models, or
// finds one that is being unloaded already. If there is none it returns those
// that are in use and how much memory will not become free.
func (ms *Models) candidate(l *Loaded) (victim *Loaded, busy []string, stays int64) {
	if ms.limit > 0 {
		stays = ms.intake.aside
	}
	for _, other := range ms.loaded {
		switch {
		case other == l:
		case other.unloading:
			return other, nil, 0
		case other.own:
			stays += other.Charge
		case other.leases > 0 || !other.isReady():
			busy = append(busy, other.Name)
		case victim == nil || other.lastUsed.Before(victim.lastUsed):
			victim = other
		}
	}
	if victim != nil {
		ms.unload(victim)
	}
	slices.Sort(busy)
	return victim, busy, stays
}

// Memory returns how much of the limit is used; the limit is 0 if unknown.
func (ms *Models) Memory() (used, limit int64) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	return ms.used, ms.limit
}

// free wakes those who wait for memory. The caller holds mu.
func (ms *Models) free() {
	close(ms.freed)
	ms.freed = make(chan struct{})
}
