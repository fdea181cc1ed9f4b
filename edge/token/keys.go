package token

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
)

const (
	secretBytes = 32
	keysHeader  = "pixelwall-keys-1"
	// keysMax bounds how many keys are good at once; two are enough to rotate.
	keysMax = 8
)

// Keys sign and check tokens. The first key signs, all of them check, so that a
// fleet rotates without logging anybody out: put the new key behind the old one
// everywhere, then before it, and drop the old one when its tokens are over.
// The salt makes public ids and never changes with the keys.
//
// Keys are immutable and may be used concurrently.
type Keys struct {
	salt [secretBytes]byte
	keys []key
}

type key struct {
	id     uint32
	secret [secretBytes]byte
}

// NewKeys draws a salt and one key from chance.
func NewKeys(chance io.Reader) (*Keys, error) {
	var drawn [2 * secretBytes]byte
	if _, err := io.ReadFull(chance, drawn[:]); err != nil {
		return nil, fmt.Errorf("draw a token key: %w", err)
	}
	k := &Keys{salt: [secretBytes]byte(drawn[:secretBytes])}
	return k, k.add(drawn[secretBytes:])
}

// add appends a key. Its id is derived from it, so that no fleet has to number
// its keys.
func (k *Keys) add(secret []byte) error {
	sum := sha256.Sum256(append([]byte("pixelwall token key id\x00"), secret...))
	id := binary.BigEndian.Uint32(sum[:])
	for i := range k.keys {
		if k.keys[i].id == id {
			return fmt.Errorf("the same key is given twice")
		}
	}
	if len(k.keys) == keysMax {
		return fmt.Errorf("more than %d keys", keysMax)
	}
	k.keys = append(k.keys, key{id, [secretBytes]byte(secret)})
	return nil
}

// ParseKeys reads what Keys.Format writes: a line that names the format, one
// "salt" and one or more "key" lines, the signing one first. Errors name the line, never what
// it holds.
func ParseKeys(text string) (*Keys, error) {
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\r' })
	if len(lines) == 0 || strings.TrimSpace(lines[0]) != keysHeader {
		return nil, fmt.Errorf("token keys: the first line is not %q", keysHeader)
	}
	k, salted := &Keys{}, false
	for i, line := range lines[1:] {
		word, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		secret, err := base64.RawURLEncoding.Strict().DecodeString(strings.TrimSpace(value))
		if err != nil || len(secret) != secretBytes {
			return nil, fmt.Errorf("token keys: line %d does not hold %d bytes in base64url", i+2, secretBytes)
		}
		switch {
		case bytes.Equal(secret, make([]byte, secretBytes)):
			return nil, fmt.Errorf("token keys: line %d is all zero", i+2)
		case word == "salt" && !salted:
			k.salt, salted = [secretBytes]byte(secret), true
		case word == "key":
			if err := k.add(secret); err != nil {
				return nil, fmt.Errorf("token keys: line %d: %w", i+2, err)
			}
		default:
			return nil, fmt.Errorf("token keys: line %d is not one salt or a key", i+2)
		}
	}
	if !salted || len(k.keys) == 0 {
		return nil, fmt.Errorf("token keys: a salt and at least one key are needed")
	}
	return k, nil
}

// Format returns the keys as ParseKeys reads them. It is a secret.
func (k *Keys) Format() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\nsalt %s\n", keysHeader, base64.RawURLEncoding.EncodeToString(k.salt[:]))
	for i := range k.keys {
		fmt.Fprintf(&b, "key %s\n", base64.RawURLEncoding.EncodeToString(k.keys[i].secret[:]))
	}
	return b.String()
}

// String keeps the secrets out of logs.
func (k *Keys) String() string { return fmt.Sprintf("token.Keys(%d)", len(k.keys)) }

// GoString is String, for %#v.
func (k *Keys) GoString() string { return k.String() }

// PublicID returns the number by which others know user uid. Without the salt
// nobody finds the uid behind it.
func (k *Keys) PublicID(uid uint64) uint64 {
	mac := hmac.New(sha256.New, k.salt[:])
	mac.Write(binary.BigEndian.AppendUint64([]byte("public id\x00"), uid))
	return binary.BigEndian.Uint64(mac.Sum(nil))
}

// nameAlphabet is Crockford's: no letter that is mistaken for another.
const nameAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// Name returns the name by which others know user uid: "guest-" and five
// letters, 25 bits of the public id. Names may collide, public ids do not in practice.
func (k *Keys) Name(uid uint64) string {
	id := k.PublicID(uid)
	name := []byte("guest-.....")
	for i := range 5 {
		name[6+i] = nameAlphabet[id>>(59-5*i)&31]
	}
	return string(name)
}

// FormatID returns a public id as HTTP answers write it, 16 hex digits.
func FormatID(id uint64) string { return fmt.Sprintf("%016x", id) }
