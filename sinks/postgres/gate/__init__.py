"""The quality gate's verdicts and the windows that they are judged by."""
