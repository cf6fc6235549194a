package server

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"trit/server/core"
)

// logs sends the last lines of the log, and with follow also those that come, until the
// client has had enough or the server stops. The query may have lines and follow.
func (s *operations) logs(w http.ResponseWriter, r *http.Request) error {
	query := r.URL.Query()
	n, follow := int64(100), false
	var err error
	if text := query.Get("lines"); text != "" {
		if n, err = strconv.ParseInt(text, 10, 32); err != nil || n < 0 {
			return core.BadRequest("lines", "lines is %q; want a number of lines", text)
		}
	}
	if text := query.Get("follow"); text != "" {
		if follow, err = strconv.ParseBool(text); err != nil {
			return core.BadRequest("follow", "follow is %q; want true or false", text)
		}
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	control := http.NewResponseController(w)
	at := -n
	if n == 0 {
		_, at, _ = s.Logs.After(-1)
	}
	for {
		lines, next, more := s.Logs.After(at)
		if err := control.SetWriteDeadline(time.Now().Add(s.Options.WriteTimeout)); err != nil &&
			!errors.Is(err, http.ErrNotSupported) {
			return core.ErrAnswered
		}
		for _, line := range lines {
			if _, err := w.Write(line); err != nil {
				return core.ErrAnswered
			}
		}
		if at = next; !follow {
			return nil
		}
		if err := control.Flush(); err != nil {
			return core.ErrAnswered
		}
		select {
		case <-more:
		case <-r.Context().Done():
			return core.ErrAnswered
		case <-s.Stopping():
			return nil
		}
	}
}
