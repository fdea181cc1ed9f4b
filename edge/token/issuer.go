package token

import (
	"encoding/binary"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"

	"pixelwall/core"
	"pixelwall/edge/limit"
)

// A Guest is a user who just came, or came back.
type Guest struct {
	Token   string
	UID     uint64 // ours alone; never shown
	ID      uint64 // public
	Name    string
	Expires time.Time
}

// An Issuer makes guests. It may be used concurrently.
type Issuer struct {
	keys   *Keys
	budget *limit.Budget

	mu     sync.Mutex // protects chance
	chance io.Reader
}

// NewIssuer returns an Issuer that draws uids from chance, which must be
// unpredictable (crypto/rand outside of tests), and charges budget.
func NewIssuer(keys *Keys, budget *limit.Budget, chance io.Reader) *Issuer {
	return &Issuer{keys: keys, budget: budget, chance: chance}
}

// Issue makes a new guest for a client at addr. An exempt client is not charged.
// A spent budget is core.CodeTooMany.
func (i *Issuer) Issue(addr netip.Addr, exempt bool, now time.Time) (Guest, error) {
	if !exempt {
		if wait := i.budget.Take(addr, 1, now); wait > 0 {
			return Guest{}, &core.Error{Code: core.CodeTooMany, Msg: "too many new guests from this network", RetryAfter: wait}
		}
	}
	uid, err := i.draw()
	if err != nil {
		return Guest{}, fmt.Errorf("draw a uid: %w", err)
	}
	return i.guest(uid, now), nil
}

// Renew gives the user of token a new one. It also takes tokens that expired up
// to Renewable ago; a later one is core.CodeTokenExpired.
func (i *Issuer) Renew(token string, now time.Time) (Guest, error) {
	c, err := i.keys.open(token, now)
	if err != nil {
		return Guest{}, err
	}
	if now.After(c.Expires.Add(Renewable)) {
		return Guest{}, core.NewError(core.CodeTokenExpired, "the token expired too long ago to be renewed")
	}
	return i.guest(c.UID, now), nil
}

func (i *Issuer) guest(uid uint64, now time.Time) Guest {
	expires := now.Add(Lifetime).Truncate(time.Second)
	return Guest{
		Token:   i.keys.Sign(Claim{UID: uid, Issued: now, Expires: expires}),
		UID:     uid,
		ID:      i.keys.PublicID(uid),
		Name:    i.keys.Name(uid),
		Expires: expires,
	}
}

// draw returns a random uid. 0 is nobody and is drawn again.
func (i *Issuer) draw() (uint64, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for {
		var b [8]byte
		if _, err := io.ReadFull(i.chance, b[:]); err != nil {
			return 0, err
		}
		if uid := binary.BigEndian.Uint64(b[:]); uid != 0 {
			return uid, nil
		}
	}
}
