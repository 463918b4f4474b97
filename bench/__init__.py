"""Speed, measured side by side in one run: each figure is a ratio to a peer or to the limit."""
