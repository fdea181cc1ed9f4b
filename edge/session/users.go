package session

import (
	"slices"
	"sync"
	"sync/atomic"
)

// A user is one who is connected, perhaps with several pages.
type user struct {
	User
	clients atomic.Pointer[[]*client] // replaced, never changed: read without a lock
}

// others calls fn for every client of u but self.
func (u *user) others(self *client, fn func(*client)) {
	if all := *u.clients.Load(); len(all) > 1 {
		for _, cl := range all {
			if cl != self {
				fn(cl)
			}
		}
	}
}

// A registry knows the users that are connected to this edge. It is locked when
// a client comes or goes, never for a placement.
type registry struct {
	mu    sync.Mutex
	users map[uint64]*user
}

func (r *registry) join(who User, cl *client) *user {
	r.mu.Lock()
	defer r.mu.Unlock()
	u := r.users[who.ID]
	if u == nil {
		u = &user{User: who}
		u.clients.Store(new([]*client))
		if r.users == nil {
			r.users = make(map[uint64]*user)
		}
		r.users[who.ID] = u
	}
	all := append(slices.Clone(*u.clients.Load()), cl)
	u.clients.Store(&all)
	return u
}

func (r *registry) leave(u *user, cl *client) {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Clone(*u.clients.Load())
	if i := slices.Index(all, cl); i >= 0 {
		all = slices.Delete(all, i, i+1)
	}
	u.clients.Store(&all)
	if len(all) == 0 {
		delete(r.users, u.ID)
	}
}
