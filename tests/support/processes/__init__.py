"""The product's programs as tests start them, and their clients."""
