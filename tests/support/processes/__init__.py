"""The product's programs as tests start them, and what talks to them."""
