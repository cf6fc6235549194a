package engine

// MemoryInfo says how much memory an engine takes, in bytes, beside the model's
// weights.
type MemoryInfo struct {
	// Scratch is what passes, attention and the head compute in, ScratchPeak the
	// most that it has been and ScratchReserved what the system was asked for.
	// It is made with the engine, and grows only where selections of more rows
	// than before are made from a coarse head.
	Scratch, ScratchPeak, ScratchReserved int64
	// Head is what the head mode adds to the stored head.
	Head int64
	// KV is the memory of the KV cache's pages that have been used so far, KVInUse
	// of those that are in use, and KVMax what it may become together with State. It
	// grows page by page, and pages are used again, but given back before Close only
	// where states take their place.
	KV, KVInUse, KVMax int64
	// State is the memory of states and their snapshots, of models that keep state
	// beside keys and values, and StateInUse that of the states of sequences.
	State, StateInUse int64
}

// Memory returns how much memory the engine takes. It belongs to the goroutine
// that runs the engine; see Scheduler.Memory.
func (e *Engine) Memory() MemoryInfo {
	s := e.mem.Stats().Add(e.head.Scratch())
	int8 := e.pass.Int8Bytes()
	page, states := e.pool.PageBytes(), e.pool.StateStats()
	return MemoryInfo{
		Scratch: s.Used + int8, ScratchPeak: s.HighWater + int8, ScratchReserved: s.Reserved + int8,
		Head: e.head.Info().Resident,
		KV:   int64(e.pool.Allocated()) * page, KVInUse: int64(e.pool.InUse()-states.Held*states.Pages) * page,
		KVMax: int64(e.pool.Config().MaxPages) * page,
		State: int64(states.Allocated) * states.Bytes, StateInUse: int64(states.Held) * states.Bytes,
	}
}

// Memory returns how much memory the scheduler's engine takes. The error is
// ErrClosed.
func (s *Scheduler) Memory() (MemoryInfo, error) {
	var m MemoryInfo
	err := s.do(func() { m = s.engine.Memory() })
	return m, err
}
