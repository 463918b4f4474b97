"""Events, outcomes and troubles that tests begin with."""
