"""The output of a process: metrics, logs, redaction, traces, error reports, and printed lines."""
