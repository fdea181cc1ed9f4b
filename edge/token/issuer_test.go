package token

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/iotest"
	"time"

	"pixelwall/core"
	"pixelwall/edge/limit"
)

func testIssuer(t *testing.T, perHour int) *Issuer {
	return NewIssuer(testKeys(t, 1), limit.NewBudget(perHour, time.Hour), rand.NewChaCha8([32]byte{9}))
}

func TestAGuestIsWhoItsTokenSays(t *testing.T) {
	i := testIssuer(t, 0)
	seen := map[uint64]bool{}
	for range 1000 {
		g, err := i.Issue(netip.MustParseAddr("203.0.113.9"), false, noon)
		if err != nil {
			t.Fatal(err)
		}
		c, err := i.keys.Verify(g.Token, noon)
		if err != nil || c.UID != g.UID || !c.Expires.Equal(g.Expires) || g.ID != i.keys.PublicID(g.UID) || g.Name != i.keys.Name(g.UID) {
			t.Fatalf("guest %+v, claim %+v, %v", g.UID, c, err)
		}
		if seen[g.UID] || g.UID == 0 || g.ID == g.UID || len(g.Token) != TextBytes {
			t.Fatalf("guest %d: seen %v, id %d, token of %d letters", g.UID, seen[g.UID], g.ID, len(g.Token))
		}
		seen[g.UID] = true
	}
}

func TestUserZeroIsDrawnAgain(t *testing.T) {
	zeroes := make([]byte, 8)
	chance := &sequence{zeroes, {1, 2, 3, 4, 5, 6, 7, 8}}
	g, err := NewIssuer(testKeys(t, 1), limit.NewBudget(0, time.Hour), chance).Issue(netip.Addr{}, true, noon)
	if err != nil || g.UID != 0x0102030405060708 {
		t.Errorf("Issue = %x, %v", g.UID, err)
	}
}

type sequence [][]byte

func (s *sequence) Read(p []byte) (int, error) {
	n := copy(p, (*s)[0])
	*s = (*s)[1:]
	return n, nil
}

func TestWithoutChanceNobodyIsMade(t *testing.T) {
	broken := errors.New("no entropy")
	g, err := NewIssuer(testKeys(t, 1), limit.NewBudget(0, time.Hour), iotest.ErrReader(broken)).Issue(netip.Addr{}, true, noon)
	if !errors.Is(err, broken) || g != (Guest{}) {
		t.Errorf("Issue = %+v, %v", g, err)
	}
	if _, err := NewKeys(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("NewKeys = %v", err)
	}
}

func TestRenew(t *testing.T) {
	i := testIssuer(t, 0)
	g, err := i.Issue(netip.Addr{}, true, noon)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name  string // reads on from "Renew of a token ..."
		token string
		after time.Duration
		want  core.Code
		ok    bool
	}{
		{"that is still good", g.Token, time.Hour, 0, true},
		{"that has just expired", g.Token, Lifetime + time.Hour, 0, true},
		{"that expired 30 days ago", g.Token, Lifetime + Renewable, 0, true},
		{"that expired longer ago", g.Token, Lifetime + Renewable + time.Second, core.CodeTokenExpired, false},
		{"that is forged", good(testKeys(t, 2)), 0, core.CodeUnauthorized, false},
		{"that is not there", "", 0, core.CodeUnauthorized, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			now := noon.Add(tt.after)
			again, err := i.Renew(tt.token, now)
			if !tt.ok {
				if err == nil || core.CodeOf(err) != tt.want {
					t.Fatalf("Renew = %v, want %v", err, tt.want)
				}
				return
			}
			if err != nil || again.UID != g.UID || again.Name != g.Name || !again.Expires.Equal(now.Add(Lifetime)) {
				t.Errorf("Renew = %+v, %v", again.UID, err)
			}
			if _, err := i.keys.Verify(again.Token, now.Add(Lifetime)); err != nil {
				t.Errorf("the new token: %v", err)
			}
		})
	}
}

func TestASpentBudgetSaysWhenToComeBack(t *testing.T) {
	i, addr := testIssuer(t, 2), netip.MustParseAddr("2001:db8::1")
	for range 2 {
		if _, err := i.Issue(addr, false, noon); err != nil {
			t.Fatal(err)
		}
	}
	_, err := i.Issue(addr, false, noon)
	var e *core.Error
	if !errors.As(err, &e) || e.Code != core.CodeTooMany || e.RetryAfter != 30*time.Minute {
		t.Fatalf("the third guest: %+v", err)
	}
	if _, err := i.Issue(addr, false, noon.Add(e.RetryAfter-time.Millisecond)); err == nil {
		t.Error("a guest before its time")
	}
	if _, err := i.Issue(addr, false, noon.Add(e.RetryAfter)); err != nil {
		t.Errorf("at the time that was named: %v", err)
	}
}

func TestAnExemptClientIsNotCharged(t *testing.T) {
	i, addr := testIssuer(t, 1), netip.MustParseAddr("127.0.0.1")
	for range 10 {
		if _, err := i.Issue(addr, true, noon); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := i.Issue(addr, false, noon); err != nil {
		t.Errorf("the first one that counts: %v", err)
	}
	if _, err := i.Issue(addr, false, noon); err == nil {
		t.Error("the second one that counts is let in")
	}
}
