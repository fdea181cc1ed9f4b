package servers

import "context"

type CassandraOptions struct {
	Nodes int
	Extra []string
}

func (s *Server) probeCassandra(ctx context.Context) error { return nil }
