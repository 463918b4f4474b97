"""The jobs of archives: a month of events is archived, verified, and restored."""
