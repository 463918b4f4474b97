"""The demonstration: sends a mix of raw events through the real system, and compares the result with a prediction."""
