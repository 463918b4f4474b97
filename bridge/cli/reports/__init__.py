"""Commands that report on the past and present of the stream."""
