package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"pixelwall/core"
)

const (
	// Lifetime is how long a token is good. Whoever has it may renew it, so a stolen
	// one ends with the key that signed it, and a key that was rotated has to be kept
	// for Lifetime and Renewable.
	Lifetime = 24 * time.Hour
	// Renewable is how long after its end a token may still be exchanged for a
	// new one of the same user, so that somebody who comes back within the length
	// of an event stays who they were.
	Renewable = 30 * 24 * time.Hour
	// Leeway is how far the clocks of a fleet may be apart.
	Leeway = 30 * time.Second
)

const (
	tokenVersion = 1
	headBytes    = 29
	macBytes     = sha256.Size
)

// TextBytes is the length of every token. Nothing else is looked at, which also
// keeps out line ends: base64 would skip them, and a token would have many texts.
const TextBytes = ((headBytes+macBytes)*8 + 5) / 6

// A Claim is what a token says about its holder.
//
//	offset  size  field
//	0       1     version, 1; it fixes the algorithm, HMAC-SHA256
//	1       4     key id, big endian like all numbers here
//	5       8     uid
//	13      8     issued, unix seconds
//	21      8     expires, unix seconds
//	29      32    HMAC of the 29 bytes before it
//
// The text is all of it in base64url without padding, 82 letters.
type Claim struct {
	UID     uint64
	Issued  time.Time
	Expires time.Time
}

// Sign returns the token of c under the signing key. Times lose what is below a second.
func (k *Keys) Sign(c Claim) string {
	signer := &k.keys[0]
	raw := make([]byte, 0, headBytes+macBytes)
	raw = binary.BigEndian.AppendUint32(append(raw, tokenVersion), signer.id)
	raw = binary.BigEndian.AppendUint64(raw, c.UID)
	raw = binary.BigEndian.AppendUint64(raw, uint64(c.Issued.Unix()))
	raw = binary.BigEndian.AppendUint64(raw, uint64(c.Expires.Unix()))
	return base64.RawURLEncoding.EncodeToString(signer.mac(raw, raw))
}

func (k *key) mac(dst, head []byte) []byte {
	h := hmac.New(sha256.New, k.secret[:])
	h.Write(head)
	return h.Sum(dst)
}

// Verify returns what token claims if it is good at now. A token that was good
// once is core.CodeTokenExpired, everything else core.CodeUnauthorized.
func (k *Keys) Verify(token string, now time.Time) (Claim, error) {
	c, err := k.open(token, now)
	if err == nil && now.After(c.Expires.Add(Leeway)) {
		return Claim{}, core.NewError(core.CodeTokenExpired, "the token has expired: renew it")
	}
	return c, err
}

// open checks everything but the end of the token's life.
func (k *Keys) open(token string, now time.Time) (Claim, error) {
	if token == "" {
		return Claim{}, core.NewError(core.CodeUnauthorized, "a token is needed")
	}
	bad := core.NewError(core.CodeUnauthorized, "the token is not one of this server")
	if len(token) != TextBytes {
		return Claim{}, bad
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(token)
	if err != nil || len(raw) != headBytes+macBytes || raw[0] != tokenVersion {
		return Claim{}, bad
	}
	signer := k.find(binary.BigEndian.Uint32(raw[1:]))
	if signer == nil || !hmac.Equal(signer.mac(nil, raw[:headBytes]), raw[headBytes:]) {
		return Claim{}, bad
	}
	c := Claim{
		UID:     binary.BigEndian.Uint64(raw[5:]),
		Issued:  time.Unix(int64(binary.BigEndian.Uint64(raw[13:])), 0),
		Expires: time.Unix(int64(binary.BigEndian.Uint64(raw[21:])), 0),
	}
	if c.Issued.After(now.Add(Leeway)) || c.UID == 0 {
		return Claim{}, bad
	}
	return c, nil
}

func (k *Keys) find(id uint32) *key {
	for i := range k.keys {
		if k.keys[i].id == id {
			return &k.keys[i]
		}
	}
	return nil
}
