"""Who may send how much: keys, origins, limits, shares, and turns at the loop's time."""
