-- One restore at a time reads which archives were removed, and brings them back.
SELECT pg_advisory_xact_lock(1651665262, 3)
