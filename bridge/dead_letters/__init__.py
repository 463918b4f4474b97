"""Dead letters and replays as documents, for the command line and for HTTP."""
