"""The mechanisms of identity: the gateway's proof, attribution, and the name spaces of event ids."""

from tools.mutants.mutant import Edit, Mutant

ATTRIBUTION = "tests/unit/streams/test_attribution.py"
SENDER = "tests/contract/test_sink_sender.py"
TRUST = "tests/unit/streams/pipeline/test_trust.py"

MUTANTS = [
    Mutant(
        "replay-proof",
        "the new proof of a replayed event whose own proof is not valid",
        (
            Edit(
                "streams/rules/replay_rules.py::_sealed",
                "trust.keys.proven(said, body.value)",
                "said.get(names.PROOF)",
            ),
        ),
        ("tests/unit/streams/rules/test_replay_rules.py",),
    ),
    Mutant(
        "proof",
        "the comparison of the gateway's proof",
        (Edit("schemas/kafka/gateway_proof.py::ProofKeys.proven", "not hmac.compare_digest(...)", "state is None"),),
        (f"{TRUST}::test_a_changed_header_makes_the_record_direct", ATTRIBUTION),
    ),
    Mutant(
        "proof-fields",
        "the refusal of a NUL in a proven field",
        (
            Edit(
                "schemas/kafka/gateway_proof.py::ProofKeys.proven",
                'message.count(b"\\0") != len(_FIELDS) - 1',
                "not message",
            ),
        ),
        (f"{TRUST}::test_no_byte_moves_from_the_value_into_a_header",),
    ),
    Mutant(
        "proven-identity",
        "the gateway's identity of a refused event",
        (Edit("streams/pipeline/processor.py::_failure", "attempt.found.vouched", "None"),),
        (f"{ATTRIBUTION}::test_a_refused_event_is_of_the_site_that_the_gateway_proves",),
    ),
    Mutant(
        "legacy-time",
        "the end of the time in which headers without a proof are trusted",
        (Edit("streams/pipeline/trust.py::GatewayTrust.of_raw", "now_ms < self.legacy_until_ms", "True"),),
        (f"{TRUST}::test_headers_older_than_proofs_are_believed_for_a_time",),
    ),
    Mutant(
        "legacy-class",
        "the rule that a record with a sender class is not older than proofs",
        (Edit("streams/pipeline/trust.py::GatewayTrust._judged", "legacy and names.SENDER not in said", "legacy"),),
        (f"{TRUST}::test_a_wrong_proof_is_no_older_record",),
    ),
    Mutant(
        "ledgers-class",
        "the ledger's sender class on a retry or replay",
        (Edit("streams/pipeline/trust.py::GatewayTrust.of_kept", "kept.sender is Sender.DIRECT", "kept.sender == ''"),),
        (f"{TRUST}::test_the_ledgers_word_stands",),
    ),
    Mutant(
        "unknown-key",
        "the retry of a record whose proof names an unknown key",
        (Edit("streams/pipeline/trust.py::GatewayTrust._judged", "not self.keys.knows(proof)", "proof == b''"),),
        (f"{TRUST}::test_a_key_that_is_not_known_is_tried_again",),
    ),
    Mutant(
        "known-sites",
        "the rule that only sites of the registry have windows",
        (Edit("streams/pipeline/identity.py::identify", "site_id in _sites(registry)", "site_id > 0"),),
        ("tests/unit/streams/pipeline/test_processor.py::test_an_invented_site_makes_no_window",),
    ),
    Mutant(
        "class-name-space",
        "the name space of each sender class",
        (Edit("sinks/postgres/dedup/key_claims.py::second_key", "holder is sender", "holder is not None"),),
        (f"{SENDER}::test_each_class_has_a_name_space_of_its_own",),
    ),
    Mutant(
        "key-without-class",
        "the rule that a key without a class is a duplicate for every class",
        (Edit("sinks/postgres/dedup/key_claims.py::second_key", "holder is None", "holder == ''"),),
        (f"{SENDER}::test_an_event_older_than_the_classes_is_a_duplicate_for_each",),
    ),
    Mutant(
        "supersedes",
        "the precedence of a server's event if ids are shared",
        (Edit("sinks/postgres/dedup/key_claims.py::supersedes", "...", "return False"),),
        (f"{SENDER}::test_of_shared_ids_a_servers_event_counts_instead_of_an_earlier_visitors",),
    ),
    Mutant(
        "window-moved",
        "the subtraction of a backfill's count from the window that contained it",
        (Edit("streams/attribution.py::window_changes", "(window, -1)", "(window, 0)"),),
        ("tests/unit/streams/test_window_moves.py",),
    ),
    Mutant(
        "replays-digest",
        "the digest of the record that a replay sends",
        (Edit("schemas/pipeline/ledger.py::LedgerState.expects", "...", "return True"),),
        ("tests/unit/streams/pipeline/test_processor.py::test_only_the_record_that_a_replay_sends_has_its_claim",),
    ),
]
