"""The jobs of backups: they are made, verified, removed when they are old, and attested if another program makes them."""
