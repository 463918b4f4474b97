"""Of gateway, snippet and clients."""
