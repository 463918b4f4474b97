"""Development tools: embedded servers and the demonstration."""
