package sim

import (
	"pixelwall/core"
)

// A plant wraps the ports of production code, so that it does one thing wrong.
// The zero plant wraps nothing.
type plant struct {
	name string // reads on from "a cluster that"

	wrapOutbox  func(*process, placer) placer
	wrapTopic   func(*process, core.Topic) core.Topic
	wrapLeases  func(*process, core.Leases) core.Leases
	wrapKept    func(*process, core.Snapshots) core.Snapshots
	wrapArchive func(*process, core.Archive) core.Archive
	wrapTail    func(*process, core.Log) core.Log
	noPhantoms  bool
}

func (p *plant) outbox(pr *process, o placer) placer {
	if p.wrapOutbox == nil {
		return o
	}
	return p.wrapOutbox(pr, o)
}

func (p *plant) topic(pr *process, t core.Topic) core.Topic {
	if p.wrapTopic == nil {
		return t
	}
	return p.wrapTopic(pr, t)
}

func (p *plant) leases(pr *process, l core.Leases) core.Leases {
	if p.wrapLeases == nil {
		return l
	}
	return p.wrapLeases(pr, l)
}

func (p *plant) snapshots(pr *process, s core.Snapshots) core.Snapshots {
	if p.wrapKept == nil {
		return s
	}
	return p.wrapKept(pr, s)
}

func (p *plant) archive(pr *process, a core.Archive) core.Archive {
	if p.wrapArchive == nil {
		return a
	}
	return p.wrapArchive(pr, a)
}

func (p *plant) tail(pr *process, l core.Log) core.Log {
	if p.wrapTail == nil {
		return l
	}
	return p.wrapTail(pr, l)
}

func (p *plant) phantom() error {
	if p.noPhantoms {
		return nil
	}
	return errPhantom
}
