"""How a process reports: metrics, logs, redaction, traces, errors, and the lines that it prints."""
