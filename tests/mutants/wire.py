"""The mechanisms that bound what a connection costs before a request is looked at, and what the operators' pages cost."""

from mutants.mutant import Edit, Mutant

WIRE = "tests/unit/gateway/test_wire.py"
PAGES = "tests/unit/gateway/test_pages.py"

MUTANTS = [
    Mutant(
        "gateway-pace",
        "the turn for which a request beyond its address's rate waits",
        (Edit("bridge/http/pace.py::Pace.begins", "max(0.0, turn - now)", "0.0"),),
        (f"{WIRE}::test_an_address_begins_requests_at_its_rate_whatever_is_answered",),
    ),
    Mutant(
        "gateway-pace-connections",
        "the end of new connections of an address far beyond its rate",
        (
            Edit(
                "bridge/http/pace.py::Pace.enters",
                "self._turns.get(address, 0.0) - self._now() > _MOST_SECONDS",
                "False",
            ),
        ),
        (f"{WIRE}::test_new_connections_of_an_address_count_as_requests",),
    ),
    Mutant(
        "gateway-pace-given-up",
        "the rate given back by a request that never begins",
        (Edit("bridge/http/protocol.py::BoundedProtocol._end_turn", "self.pace.gives_up(self._address)", ""),),
        (f"{WIRE}::test_a_request_that_never_begins_costs_its_address_nothing",),
    ),
    Mutant(
        "gateway-pace-gives-way",
        "the place of a connection that waits for its turn, among those that give way",
        (Edit("bridge/http/protocol.py::BoundedProtocol._take_place", "self._turn_timer is not None", "False"),),
        (f"{WIRE}::test_a_connection_in_wait_for_its_turn_gives_way",),
    ),
    Mutant(
        "gateway-escapes",
        "the bound of percent signs in a URL",
        (Edit("bridge/http/protocol.py::BoundedProtocol.on_url", "in_path > _MOST_ESCAPES_OF_PATH or ...", "False"),),
        (f"{WIRE}::test_a_url_has_few_percent_signs",),
    ),
    Mutant(
        "gateway-tiny-chunks",
        "the refusal of a body in tiny chunks",
        (Edit("bridge/http/protocol.py::BoundedProtocol.on_body", "self._pieces > _MOST_PIECES", "False"),),
        (f"{WIRE}::test_a_body_of_tiny_chunks_is_refused",),
    ),
    Mutant(
        "gateway-framing",
        "the refusal of a body that is mostly framing",
        (
            Edit(
                "bridge/http/protocol.py::BoundedProtocol._parse_slice",
                "self._wire_bytes > _FRAMING_BYTES + 2 * self._body_bytes",
                "False",
            ),
        ),
        (f"{WIRE}::test_a_body_that_is_mostly_framing_is_refused",),
    ),
    Mutant(
        "gateway-wire-bytes",
        "the charge for the framing of chunks",
        (
            Edit(
                "bridge/gateway/events.py::receive_events",
                "max(len(message.get('body', b'')), wired - before)",
                "len(message.get('body', b''))",
            ),
        ),
        (f"{WIRE}::test_the_framing_of_chunks_is_charged",),
    ),
    Mutant(
        "gateway-late-body",
        "the end of a connection whose answer came before its long body",
        (Edit("bridge/http/protocol.py::BoundedProtocol.on_headers_complete", "self.cycle.keep_alive = False"),),
        (f"{WIRE}::test_the_rest_of_a_long_body_is_not_read_after_the_answer",),
    ),
    Mutant(
        "gateway-parse-slices",
        "the slices in which what was read is parsed",
        (Edit("bridge/http/protocol.py::BoundedProtocol.data_received", "len(data) > _SLICE_BYTES", "False"),),
        (f"{WIRE}::test_what_was_read_is_parsed_in_slices",),
    ),
    Mutant(
        "gateway-client-gone",
        "the word to a request that its client has hung up, where others were read behind it",
        (Edit("bridge/http/protocol.py::BoundedProtocol.connection_lost", "not running.response_complete", "False"),),
        (f"{WIRE}::test_who_hangs_up_before_its_answer_is_sent_is_known_to_be_gone",),
    ),
    Mutant(
        "gateway-figures-kept",
        "the second for which the page of figures is kept",
        (Edit("bridge/http/exposition.py::Exposition.page", "self._made.grant('all')", "True"),),
        (f"{PAGES}::test_figures_are_made_once_a_second_after_a_burst",),
    ),
    Mutant(
        "gateway-documents-kept",
        "the documents that are made once",
        (Edit("bridge/gateway/app.py::_add_routes", "documents.as_page", "Documents(documents._make).as_page"),),
        (f"{PAGES}::test_documents_are_made_once",),
    ),
]
