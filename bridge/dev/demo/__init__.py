"""The demonstration: sends a mix of raw events with a known outcome through the real system, and compares the result."""
