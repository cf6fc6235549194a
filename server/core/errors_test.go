package core

import (
	"errors"
	"net/http"
	"testing"
)

// TestBlame: an error of the client's gets the field that is at fault unless it names one; others stay what they are.
func TestBlame(t *testing.T) {
	bad, named := &Error{Status: http.StatusBadRequest}, &Error{Status: http.StatusBadRequest, Param: "stop"}
	for _, test := range []struct {
		err          error
		param, named string
	}{
		{bad, "prompt", "prompt"}, {bad, "", ""}, {named, "prompt", "stop"}, {&Error{Status: http.StatusServiceUnavailable}, "prompt", ""},
	} {
		got, ok := errors.AsType[*Error](Blame(test.err, test.param))
		if !ok || got.Param != test.named {
			t.Errorf("%+v, %q: %+v", test.err, test.param, got)
		}
	}
	if bad.Param != "" {
		t.Error("the error itself was changed")
	}
	if err := Blame(nil, "prompt"); err != nil {
		t.Error(err)
	}
}
