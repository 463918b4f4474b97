"""Reference pages, contracts and alert rules, generated from the code."""
