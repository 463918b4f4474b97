"""Several processes of one service under one command."""
