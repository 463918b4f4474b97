"""Reference pages, contracts and alert rules, made from the code."""
