package redis

import (
	"crypto/sha256"
	"encoding/hex"
	"testing"

	"pixelwall/core"
)

// slot is what Redis Cluster makes of a hash tag: CRC-16/XMODEM modulo 16384.
func slot(tag string) int {
	crc := uint16(0)
	for i := range len(tag) {
		crc ^= uint16(tag[i]) << 8
		for range 8 {
			if crc&0x8000 != 0 {
				crc = crc<<1 ^ 0x1021
			} else {
				crc <<= 1
			}
		}
	}
	return int(crc) % 16384
}

func TestTagsSpreadEvenlyOverTheSlots(t *testing.T) {
	if got := slot("123456789"); got != 0x31c3 {
		t.Fatalf("the CRC of the specification's example is %#x", got)
	}
	for _, ranges := range []int{16, 64} {
		for from := 0; from < core.ShardsMax; from += ranges {
			taken := make(map[int]string)
			for _, tag := range tags[from : from+ranges] {
				r := slot(tag) * ranges / 16384
				if taken[r] != "" {
					t.Errorf("of %d ranges of slots, %s and %s share %d", ranges, taken[r], tag, r)
				}
				taken[r] = tag
			}
		}
	}
	masters := [3]int{}
	for _, tag := range tags[:16] {
		masters[slot(tag)*3/16384]++
	}
	if min(masters[0], masters[1], masters[2]) < 4 {
		t.Errorf("sixteen shards on three masters: %v", masters)
	}
}

func TestKeysOfAShardShareItsTag(t *testing.T) {
	keys := makeKeys("pw")
	k := &keys[3]
	for got, want := range map[string]string{
		k.bmp: "pw:{s03a0}:bmp", k.meta: "pw:{s03a0}:meta", k.out: "pw:{s03a0}:out", k.latest: "pw:{s03a0}:latest",
		k.requests[1]: "pw:{s03a0}:req:1", k.leaseKey("relay"): "pw:{s03a0}:lease:relay",
		k.copyKey("\x01\xab"): "pw:{s03a0}:snap:01ab",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// Servers keep the library that they have under its name, so a changed text under
// an old name would not be run. Whoever changes the text changes both lines here.
func TestALibraryThatChangedHasAnotherName(t *testing.T) {
	const name, want = "pixelwall_8", "2ae7b1818e356e4b"
	sum := sha256.Sum256([]byte(libraryText))
	if got := hex.EncodeToString(sum[:8]); libraryName != name || got != want {
		t.Errorf("library.lua is named %s with sum %s, it was %s with sum %s: a changed text needs another name", libraryName, got, name, want)
	}
}
