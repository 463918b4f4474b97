"""What measurements are made with: servers, loads, contestants, figures of processes."""
