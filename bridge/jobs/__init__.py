"""What every command that runs as a job shares: run id, lock, targets, summary, exit code, history, logs, alert."""
