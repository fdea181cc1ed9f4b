package token

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"pixelwall/core"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// testKeys returns keys that are the same in every run.
func testKeys(t testing.TB, seed byte) *Keys {
	t.Helper()
	k, err := NewKeys(rand.NewChaCha8([32]byte{seed}))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func good(k *Keys) string {
	return k.Sign(Claim{UID: 7, Issued: noon, Expires: noon.Add(Lifetime)})
}

func TestVerifyAccepts(t *testing.T) {
	k := testKeys(t, 1)
	for _, tt := range []struct {
		name string // reads on from "Verify accepts a token ..."
		now  time.Time
	}{
		{"at its first moment", noon},
		{"from a clock that is 30 s ahead of ours", noon.Add(-Leeway)},
		{"30 s after its end", noon.Add(Lifetime + Leeway)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := k.Verify(good(k), tt.now)
			if err != nil || c.UID != 7 || !c.Expires.Equal(noon.Add(Lifetime)) || !c.Issued.Equal(noon) {
				t.Errorf("Verify = %+v, %v", c, err)
			}
		})
	}
}

func TestVerifyRefuses(t *testing.T) {
	k, other := testKeys(t, 1), testKeys(t, 2)
	// forge signs head with the right key, so that only what head says is wrong.
	forge := func(change func(head []byte)) string {
		raw, _ := base64.RawURLEncoding.DecodeString(good(k))
		change(raw[:headBytes])
		return base64.RawURLEncoding.EncodeToString(k.keys[0].mac(raw[:headBytes:headBytes], raw[:headBytes]))
	}
	// swap keeps the old signature.
	swap := func(change func(raw []byte)) string {
		raw, _ := base64.RawURLEncoding.DecodeString(good(k))
		change(raw)
		return base64.RawURLEncoding.EncodeToString(raw)
	}
	for _, tt := range []struct {
		name  string // reads on from "Verify refuses ..."
		token string
		now   time.Time
		want  core.Code
	}{
		{"no token", "", noon, core.CodeUnauthorized},
		{"one second after the leeway", good(k), noon.Add(Lifetime + Leeway + time.Second), core.CodeTokenExpired},
		{"a token from the future", good(k), noon.Add(-Leeway - time.Second), core.CodeUnauthorized},
		{"the token of another server", good(other), noon, core.CodeUnauthorized},
		{"a cut token", good(k)[:81], noon, core.CodeUnauthorized},
		{"a token with a letter more", good(k) + "A", noon, core.CodeUnauthorized},
		{"padding", good(k) + "==", noon, core.CodeUnauthorized},
		{"a line end inside", good(k)[:40] + "\n" + good(k)[40:], noon, core.CodeUnauthorized},
		{"a megabyte", strings.Repeat("A", 1<<20), noon, core.CodeUnauthorized},
		{"what is no base64url", strings.Repeat("!", 82), noon, core.CodeUnauthorized},
		{"another version under a good signature", forge(func(h []byte) { h[0] = 2 }), noon, core.CodeUnauthorized},
		{"user 0 under a good signature", forge(func(h []byte) { clear(h[5:13]) }), noon, core.CodeUnauthorized},
		{"another user under the old signature", swap(func(r []byte) { r[12]++ }), noon, core.CodeUnauthorized},
		{"a longer life under the old signature", swap(func(r []byte) { r[27]++ }), noon, core.CodeUnauthorized},
		{"the id of a key that we do not have", swap(func(r []byte) { r[1] ^= 1 }), noon, core.CodeUnauthorized},
		{"the id of a key that did not sign", swap(func(r []byte) { binary.BigEndian.PutUint32(r[1:], other.keys[0].id) }), noon, core.CodeUnauthorized},
		{"an empty signature", swap(func(r []byte) { clear(r[headBytes:]) }), noon, core.CodeUnauthorized},
	} {
		t.Run(tt.name, func(t *testing.T) {
			both := &Keys{salt: k.salt, keys: append(k.keys[:1:1], key{id: 99})}
			if tt.name == "the id of a key that did not sign" {
				both.keys[1] = other.keys[0]
			}
			c, err := both.Verify(tt.token, tt.now)
			if core.CodeOf(err) != tt.want || err == nil || c != (Claim{}) {
				t.Fatalf("Verify = %+v, %v, want %v", c, err, tt.want)
			}
			if len(tt.token) > 20 && strings.Contains(err.Error(), tt.token[:20]) {
				t.Errorf("the error shows the token: %v", err)
			}
		})
	}
}

// No token but the one that was signed is good: not one bit may differ.
func TestEveryFlippedBitIsRefused(t *testing.T) {
	k := testKeys(t, 1)
	raw, _ := base64.RawURLEncoding.DecodeString(good(k))
	for bit := range len(raw) * 8 {
		raw[bit/8] ^= 1 << (bit % 8)
		if c, err := k.Verify(base64.RawURLEncoding.EncodeToString(raw), noon); err == nil {
			t.Errorf("bit %d flipped: accepted as %+v", bit, c)
		}
		raw[bit/8] ^= 1 << (bit % 8)
	}
	if _, err := k.Verify(base64.RawURLEncoding.EncodeToString(raw), noon); err != nil {
		t.Errorf("unchanged: %v", err)
	}
}

func TestRotationLogsNobodyOut(t *testing.T) {
	old, next := testKeys(t, 1), testKeys(t, 2)
	before := &Keys{salt: old.salt, keys: []key{old.keys[0], next.keys[0]}} // the fleet learns the new key
	after := &Keys{salt: old.salt, keys: []key{next.keys[0], old.keys[0]}}  // and signs with it
	last := &Keys{salt: old.salt, keys: []key{next.keys[0]}}                // the old one is dropped
	first, second := good(old), good(after)
	for _, tt := range []struct {
		keys  *Keys
		token string
		want  bool
	}{
		{before, first, true}, {before, second, true},
		{after, first, true}, {after, second, true},
		{last, first, false}, {last, second, true},
	} {
		if _, err := tt.keys.Verify(tt.token, noon); (err == nil) != tt.want {
			t.Errorf("%v: %v, want good: %v", tt.keys.keys[0].id, err, tt.want)
		}
	}
	if old.PublicID(7) != last.PublicID(7) || old.Name(7) != last.Name(7) {
		t.Error("a rotation changed how others know a user")
	}
}

func TestNoFormatShowsASecret(t *testing.T) {
	k := testKeys(t, 1)
	secret := strings.Fields(k.Format())[2][:16]
	if !strings.Contains(k.Format(), secret) {
		t.Fatal("the test does not look for the secret")
	}
	for _, s := range []string{fmt.Sprint(k), fmt.Sprintf("%v %+v %#v %s", k, k, k, k)} {
		if strings.Contains(s, secret) || strings.Contains(s, "0x") {
			t.Errorf("shown: %s", s)
		}
	}
}

// What Verify accepts was signed by us: it signs again to the same text.
func FuzzVerify(f *testing.F) {
	k := testKeys(f, 1)
	f.Add(good(k))
	f.Add(k.Sign(Claim{UID: 1<<64 - 1, Issued: noon.Add(-time.Hour), Expires: noon.Add(time.Hour)}))
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := k.Verify(text, noon)
		if err != nil {
			return
		}
		if again := k.Sign(c); again != text {
			t.Fatalf("%q signs again as %q", text, again)
		}
	})
}

// Accepted keys format to a text that reads back as the same keys.
func FuzzParseKeys(f *testing.F) {
	k := testKeys(f, 1)
	f.Add(k.Format())
	f.Add(k.Format() + strings.Replace(strings.Split(testKeys(f, 2).Format(), "\n")[2], "salt", "key", 1))
	f.Fuzz(func(t *testing.T, text string) {
		k, err := ParseKeys(text)
		if err != nil {
			return
		}
		again, err := ParseKeys(k.Format())
		if err != nil || again.Format() != k.Format() || !bytes.Equal(again.salt[:], k.salt[:]) {
			t.Fatalf("%q reads back as %q, %v", text, again.Format(), err)
		}
	})
}
