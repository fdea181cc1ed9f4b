package main

import (
	"strings"
	"testing"
)

func TestAReportMisses(t *testing.T) {
	r := &report{Conns: 100, BytesPerConn: 2000}
	for _, tt := range []struct {
		name     string // reads on from "A report of 100 connections at 2000 bytes misses ..."
		conns    int
		maxBytes float64
		want     []string
	}{
		{"nothing without a bound", 100, 0, nil},
		{"nothing at its bound", 100, 2000, nil},
		{"a bound below", 100, 1999, []string{"2000 bytes a connection, want at most 1999"}},
		{"connections that could not be made", 101, 2000, []string{"100 connections were made, want 101"}},
		{"both", 101, 1999, []string{"100 connections", "2000 bytes"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := r.misses(tt.conns, tt.maxBytes)
			if (err == nil) != (tt.want == nil) {
				t.Fatalf("misses = %v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("misses = %v, want %q in it", err, want)
				}
			}
		})
	}
}
