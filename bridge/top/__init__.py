"""`bridge top`: the stream as it is at this moment, on one screen."""
