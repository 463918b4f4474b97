"""The quality gate's verdicts, and the windows (counts by minute) that they are based on."""
