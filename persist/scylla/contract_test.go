package scylla

import (
	"testing"

	"pixelwall/core/coretest"
)

func TestTheStoreIsALog(t *testing.T)      { coretest.TestLog(t, opener(t)) }
func TestTheStoreIsAHistory(t *testing.T)  { coretest.TestHistory(t, opener(t)) }
func TestTheStoreIsSnapshots(t *testing.T) { coretest.TestSnapshots(t, opener(t)) }
