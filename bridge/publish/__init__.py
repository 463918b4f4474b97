"""Publishing of raw events: from lines of text to acknowledged records, in whole batches."""
