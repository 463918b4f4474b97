"""The quality gate's verdicts, and the windows they are based on."""
