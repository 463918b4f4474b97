"""Events, outcomes and troubles with which tests begin."""
