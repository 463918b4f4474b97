"""Dead letters and replays as documents, the same on the command line and over HTTP."""
