"""The mechanisms that keep a part of a shared limit for senders that use little of it, and share it between scripts."""

from tools.mutants.mutant import Edit, Mutant

SHARED = "tests/unit/http/test_shared_buckets.py"
RATES = "tests/unit/gateway/admission/test_rate_limits.py"
BUCKETS = "bridge/http/token_buckets.py"

MUTANTS = [
    Mutant(
        "reserve-debt",
        "the reserve that a debt of other senders does not lower",
        (Edit(f"{BUCKETS}::Buckets.charge", "0.0 if all_of_it else self._reserve", "0.0"),),
        (f"{SHARED}::test_a_debt_leaves_the_reserve_to_users_that_used_little",),
    ),
    Mutant(
        "reserve-refill",
        "the refill of the reserve before a debt is paid",
        (Edit(f"{BUCKETS}::Buckets._now_at", "level - self._reserve", "level"),),
        (f"{SHARED}::test_the_refill_pays_a_debt_and_keeps_the_reserve_full",),
    ),
    Mutant(
        "reserve-little",
        "the limit on what one sender takes of the reserve",
        (Edit(f"{BUCKETS}::SharedBuckets.charge", "min(count, ...)", "count"),),
        (f"{SHARED}::test_a_user_has_no_more_of_the_reserve_than_what_is_little",),
    ),
    Mutant(
        "reserve-scripts",
        "the reserve in the limits of one script's visitors",
        (
            Edit(
                "bridge/gateway/admission/rate_limits.py::_SenderLimits.__init__",
                'SharedBuckets(f"{what}, {sender}s", rate, now, shared=is_visitor)',
                'SharedBuckets(f"{what}, {sender}s", rate, now, shared=False)',
            ),
        ),
        (
            f"{RATES}::test_visitors_bytes_of_few_addresses_leave_those_of_others",
            f"{RATES}::test_visitors_events_of_few_addresses_leave_those_of_others_of_their_script",
            f"{RATES}::test_what_one_visitor_validates_leaves_others_their_part",
        ),
    ),
    Mutant(
        "refused-cost-asked",
        "the check of a retried event's cost before it is let through",
        (
            Edit(
                "bridge/gateway/admission/refused_events.py::RefusedEvents._let_through", "self._affords(costs)", "True"
            ),
        ),
        (f"{RATES}::test_retried_events_of_many_visitors_refuse_others_for_no_longer_than_a_flood_does",),
    ),
    Mutant(
        "refused-cost-cycle",
        "the end of a refusal that was kept for the cost of events",
        (Edit("bridge/gateway/admission/refused_events.py::RefusedEvents._too_many", "self._exhausted = None", ""),),
        ("tests/unit/gateway/admission/test_refused_garbage.py",),
    ),
    Mutant(
        "refused-split-charged",
        "the charge for a body that is refused while it is split",
        (Edit("bridge/gateway/routes/events.py::receive_events", "limits.charge(least)", ""),),
        (f"{RATES}::test_a_body_that_is_refused_while_it_is_split_counts_as_its_weight",),
    ),
    Mutant(
        "refused-split-asked",
        "the question for a body's weight before it is split",
        (Edit("bridge/gateway/routes/events.py::receive_events", "limits.ask(least)", ""),),
        (f"{RATES}::test_bodies_that_are_refused_while_they_are_split_owe_nothing",),
    ),
    Mutant(
        "reserve-servers",
        "the debt that counts for all users of a bucket without a reserve",
        (Edit(f"{BUCKETS}::SharedBuckets._used_little", "self._shared", "True"),),
        (f"{SHARED}::test_users_of_a_bucket_without_a_reserve_are_one",),
    ),
    Mutant(
        "org-events",
        "the limit on the events of an organisation's servers over all scripts",
        (
            Edit(
                "bridge/gateway/admission/rate_limits.py::_SenderLimits.events_of",
                "(self.org_events, organisation_of(script))",
                "",
            ),
        ),
        (f"{RATES}::test_servers_of_an_organisation_share_its_limit_over_all_scripts",),
    ),
]
