"""The shared frame of all jobs: run id, lock, targets, summary, exit code, history, logs and alert."""
