package redis

import (
	"testing"

	"pixelwall/core/coretest"
)

func TestSequencerIsASequencer(t *testing.T) { coretest.TestSequencer(t, openContract) }
func TestStreamIsALog(t *testing.T)          { coretest.TestLog(t, openContract) }
func TestCooldownsAreCooldowns(t *testing.T) { coretest.TestCooldowns(t, openContract) }
