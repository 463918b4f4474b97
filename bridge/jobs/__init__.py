"""Jobs, and the frame that they share: run id, lock, targets, summary, exit code, history, logs and alert.

A job is the work behind a command that changes something. A target is a part of the work that can fail by itself, such
as one site. A run is one execution of a job.
"""
