package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"pixelwall/edge/token"
)

// An operator finds who painted a pixel, and what else they painted.
func TestAnOperatorFindsWhatAUserPlaced(t *testing.T) {
	w := newWorld(t, 600, 600, "place2017", nil)
	addr := w.admin()
	ask := func(path string, v any) {
		t.Helper()
		a := w.send(addr, http.MethodGet, path, nil)
		if err := json.Unmarshal(a.body, v); err != nil || a.StatusCode != http.StatusOK {
			t.Fatalf("%s: %v %v", path, err, a)
		}
	}
	const events = 23
	for i := range events {
		w.place(7, [3]int{500 - 20*i, 3 + i, 1 + i%15})
		w.place(8, [3]int{500 - 20*i, 3 + i, 0})
	}
	var pixel struct {
		Items []struct {
			UID  string
			User user
		}
	}
	ask("/admin/v1/pixel?x=500&y=3", &pixel)
	if len(pixel.Items) != 2 || pixel.Items[1].UID != token.FormatID(7) || pixel.Items[1].User.ID != token.FormatID(w.keys.PublicID(7)) {
		t.Fatalf("%+v", pixel)
	}
	for _, limit := range []int{1, 7, 22, 23, 100} {
		n := events
		for before := ""; ; {
			var past userPastRead
			ask(fmt.Sprintf("/admin/v1/user?uid=%s&limit=%d%s", pixel.Items[1].UID, limit, before), &past)
			if past.UID != token.FormatID(7) || past.User.Name != w.keys.Name(7) {
				t.Fatalf("%+v", past)
			}
			for _, item := range past.Items {
				n--
				if item.X != 500-20*n || item.Y != 3+n || item.Color != 1+n%15 || item.Seq == 0 || item.Time == "" {
					t.Fatalf("limit %d, placement %d: %+v", limit, n, item)
				}
			}
			if past.Next == nil {
				break
			}
			before = "&before=" + *past.Next
		}
		if n != 0 {
			t.Errorf("limit %d: %d placements are missing", limit, n)
		}
	}
	if a := w.get("/api/v1/pixel?x=500&y=3"); strings.Contains(string(a.body), "uid") {
		t.Errorf("everybody is told uids: %v", a)
	}
}

type userPastRead struct {
	UID   string
	User  user
	Items []struct {
		X, Y, Color int
		Seq         uint64
		Time        string
	}
	Next *string
}

func TestWhatAnOperatorAsksWrongly(t *testing.T) {
	w := newWorld(t, 600, 600, "place2017", nil)
	addr := w.admin()
	for query, says := range map[string]string{
		"":                                       "uid is missing",
		"uid=7":                                  `uid="7" is not 16 hex digits`,
		"uid=0000000000000000":                   "is not 16 hex digits of a user",
		"uid=000000000000000G":                   "is not 16 hex digits",
		"uid=0000000000000007&before=1":          `before="1" is not a next`,
		"uid=0000000000000007&before=1-64-1":     "is not a next",
		"uid=0000000000000007&before=1-1-1-1":    "is not a next",
		"uid=0000000000000007&before=-1-1-1":     "is not a next",
		"uid=0000000000000007&limit=101":         "limit=101",
		"uid=0000000000000007&before=9e9-1-1":    "is not a next",
		"uid=0000000000000007&uid=0000000000001": "uid is given 2 times",
	} {
		a := w.send(addr, http.MethodGet, "/admin/v1/user?"+query, nil)
		var p problem
		if err := json.Unmarshal(a.body, &p); err != nil || a.StatusCode != http.StatusBadRequest || p.Code != "invalid" || !strings.Contains(p.Detail, says) {
			t.Errorf("%q: %v", query, a)
		}
	}
}
