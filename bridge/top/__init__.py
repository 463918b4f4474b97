"""`bridge top`: the current state of the stream on one screen."""
