package profile

import (
	"fmt"
	"time"
)

// memoryWatch samples the process's anonymous memory.
type memoryWatch struct {
	done chan struct{}
	peak chan int64
	err  error // of the samples; set before peak is sent
}

// sampleEvery is short against anything that allocates much.
const sampleEvery = 4 * time.Millisecond

// watchMemory starts sampling.
func watchMemory() (*memoryWatch, error) {
	first, err := anonymousMemory()
	if err != nil {
		return nil, fmt.Errorf("profile: reading the process's memory: %w", err)
	}
	w := &memoryWatch{done: make(chan struct{}), peak: make(chan int64)}
	go func() {
		peak := first
		ticker := time.NewTicker(sampleEvery)
		defer ticker.Stop()
		for last := false; ; {
			n, err := anonymousMemory()
			if err != nil && w.err == nil {
				w.err = fmt.Errorf("profile: reading the process's memory: %w", err)
			}
			peak = max(peak, n)
			if last {
				w.peak <- peak
				return
			}
			select {
			case <-ticker.C:
			case <-w.done:
				last = true
			}
		}
	}()
	return w, nil
}

// stop returns the largest sample.
func (w *memoryWatch) stop() (int64, error) {
	close(w.done)
	peak := <-w.peak
	return peak, w.err
}
