"""Commands that control the stream or publish to it."""
