"""The demonstration: a mix of raw events with a known outcome, sent through the real system and compared with it."""
