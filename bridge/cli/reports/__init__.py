"""Commands that report the past and present of the stream."""
