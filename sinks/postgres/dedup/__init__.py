"""Keys of events, by which duplicates are found."""
