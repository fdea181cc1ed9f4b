package session

import (
	"testing"

	"pixelwall/core"
)

func TestAForeignErrorTellsNothing(t *testing.T) {
	r := refusal(3, errForeign{}, core.Allowance{})
	if core.Code(r.Code) != core.CodeInternal || r.Message != "the server failed" || r.Number != 3 {
		t.Errorf("got %+v", r)
	}
}

type errForeign struct{}

func (errForeign) Error() string { return "password=canary" }
