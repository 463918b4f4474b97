"""What a developer's machine needs: embedded servers and the demonstration."""
