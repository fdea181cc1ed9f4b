package session

import (
	"testing"

	"pixelwall/core"
)

func TestEveryErrorCodeHasAReply(t *testing.T) {
	if len(Replies) != len(core.Codes()) {
		t.Fatalf("%d replies for %d codes", len(Replies), len(core.Codes()))
	}
	for _, c := range core.Codes() {
		if r := Replies[c]; r.HTTP < 400 || r.HTTP > 599 || r.Close != 0 && r.Close < 1000 {
			t.Errorf("%v: %+v", c, r)
		}
	}
}

func TestAForeignErrorTellsNothing(t *testing.T) {
	r := refusal(3, errForeign{}, core.Allowance{})
	if core.Code(r.Code) != core.CodeInternal || r.Message != "the server failed" || r.Number != 3 {
		t.Errorf("got %+v", r)
	}
}

type errForeign struct{}

func (errForeign) Error() string { return "password=canary" }
