"""The mechanisms by which no client decides which traces are sampled."""

from tools.mutants.mutant import Edit, Mutant

SPANS = "tests/unit/gateway/test_spans.py"
TRACING = "tests/unit/streams/worker/test_tracing.py"
LEFT_OUT = f"{SPANS}::test_a_client_has_no_trace_sampled_that_the_sampler_leaves_out"
LINKED = f"{SPANS}::test_a_visitor_s_span_is_linked_and_is_no_parent"
KAFKA_PRODUCERS = f"{TRACING}::test_the_sampler_limits_what_a_kafka_producer_has_traced"

MUTANTS = [
    Mutant(
        "trace-flag",
        "the gateway's own decision on a trace whose server says that it is sampled",
        (Edit("bridge/gateway/spans.py::_OwnSampler.should_sample", "parent_context = Context()", ""),),
        (LEFT_OUT,),
    ),
    Mutant(
        "trace-ratio",
        "the id of the gateway, instead of the client's, of which a sampler takes a ratio",
        (Edit("bridge/gateway/spans.py::_OwnSampler.should_sample", "self.own_id", "trace_id"),),
        (LEFT_OUT,),
    ),
    Mutant(
        "trace-named",
        "the gateway's own id for a trace that the client names",
        (
            Edit(
                "bridge/gateway/spans.py::RequestSpans.begin",
                "self._trace_ids.another() if is_given else int(named, 16)",
                "int(named, 16)",
            ),
        ),
        (LEFT_OUT, LINKED, f"{SPANS}::test_a_visitor_does_not_name_the_trace_by_the_other_header"),
    ),
    Mutant(
        "trace-visitors",
        "the trace of its own that a visitor's request has",
        (Edit("bridge/gateway/spans.py::RequestSpans.begin", "parent = Context()", ""),),
        (LINKED,),
    ),
    Mutant(
        "trace-links",
        "the link to the span that a visitor names",
        (Edit("bridge/gateway/spans.py::RequestSpans.begin", "links.append(...)"),),
        (LINKED,),
    ),
    Mutant(
        "trace-keys",
        "the check of the API key before a client's span is a parent",
        (Edit("bridge/gateway/admission/access.py::has_key", "_check_key(...)"),),
        (f"{SPANS}::test_a_key_of_another_script_makes_no_parent",),
    ),
    Mutant(
        "trace-off",
        "the flag that a gateway without tracing writes",
        (Edit("bridge/http/ids.py::request_ids", 'traceparent[:-2] + b"00"', "traceparent"),),
        (f"{SPANS}::test_a_gateway_without_tracing_samples_nothing",),
    ),
    Mutant(
        "trace-producers",
        "the worker's sampler for the traces of Kafka producers",
        (
            Edit(
                "streams/worker/spans.py::SettlementSpans.tell",
                "(_is_vouched(one.sender) or self._samples(one.attempt.provenance))",
                "True",
            ),
        ),
        (KAFKA_PRODUCERS,),
    ),
    Mutant(
        "trace-gateways",
        "the decision of the gateway's sampler, which workers follow",
        (Edit("streams/worker/spans.py::_is_vouched", "...", "return False"),),
        (KAFKA_PRODUCERS,),
    ),
    Mutant(
        "trace-attempts",
        "the same decision for all attempts at an event, and another for another event",
        (Edit("streams/worker/spans.py::SettlementSpans._samples", "str(provenance).encode()", 'b""'),),
        (f"{TRACING}::test_all_attempts_at_an_event_are_sampled_alike_and_not_by_its_trace_id",),
    ),
]
