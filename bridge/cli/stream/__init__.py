"""Commands that steer the stream, or feed it."""
