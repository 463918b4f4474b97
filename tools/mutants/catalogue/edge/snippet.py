"""The mechanisms of the browser's snippet."""

from tools.mutants.mutant import Edit, Mutant

SOURCE = "bridge/gateway/static/bridge.js"
SNIPPET = "tests/browser/test_snippet.py"
MANNERS = "tests/browser/test_snippet_manners.py"
RETRY = "tests/browser/test_snippet_retry.py"
REFUSED = "tests/browser/test_snippet_refused.py"

MUTANTS = [
    Mutant(
        "snippet-lock",
        "the lock by which one tab at a time sends",
        (Edit(SOURCE, "locked(prefix + 'send', sendAll)", "sendAll()"),),
        (f"{SNIPPET}::test_tabs_share_one_queue",),
    ),
    Mutant(
        "snippet-sent",
        "the notification of other tabs of the events sent",
        (Edit(SOURCE, "await forgetOthers();"),),
        (f"{SNIPPET}::test_what_another_tab_has_sent_is_known_at_once",),
    ),
    Mutant(
        "snippet-lets-go",
        "the release of its locks when a page is left",
        (Edit(SOURCE, "held.forEach((release) => release());"),),
        (f"{RETRY}::test_a_page_that_comes_back_sends_as_before",),
    ),
    Mutant(
        "snippet-wait",
        "the note of the wait that Retry-After asks for, which applies to all tabs",
        (Edit(SOURCE, "if (told > 0) write(WAIT, '' + (Date.now() + told));"),),
        (f"{SNIPPET}::test_too_much_is_sent_when_the_gateway_says",),
    ),
    Mutant(
        "snippet-asked-bound",
        "the limit on the wait that Retry-After may ask for",
        (Edit(SOURCE, "|| 0, MOST_ASKED);", "|| 0, 1e15);"),),
        (f"{RETRY}::test_what_is_asked_for_is_kept_within_reason",),
    ),
    Mutant(
        "snippet-own-pause",
        "the difference between a tab's own pause and a wait that Retry-After asks of all tabs",
        (Edit(SOURCE, "(Date.now() + told)", "(Date.now() + Math.max(own, told))"),),
        (f"{RETRY}::test_only_what_is_asked_for_holds_for_all_tabs",),
    ),
    Mutant(
        "snippet-clock",
        "the check whether a stored wait came from a wrong clock",
        (Edit(SOURCE, "left < 2 * MOST_ASKED && left", "left"),),
        (f"{RETRY}::test_a_clock_that_was_set_back_is_not_waited_for",),
    ),
    Mutant(
        "snippet-backoff",
        "the growth of its pauses",
        (Edit(SOURCE, "2 ** failures++", "2"),),
        (f"{RETRY}::test_it_tries_later_each_time",),
    ),
    Mutant(
        "snippet-jitter",
        "the jitter of its pauses",
        (Edit(SOURCE, "* (1 + Math.random()) / 2;", ";"),),
        (f"{RETRY}::test_it_tries_later_each_time",),
    ),
    Mutant(
        "snippet-time-out",
        "the end of a post that is not answered",
        (Edit(SOURCE, "setTimeout(() => { resolve(NONE); aborter.abort(); }, LATE)", "0"),),
        (f"{RETRY}::test_an_answer_that_never_comes_is_not_waited_for",),
    ),
    Mutant(
        "snippet-online",
        "the try when the browser is online again",
        (Edit(SOURCE, "listen(window, 'online', () => { failures = 0; schedule(0); });"),),
        (f"{SNIPPET}::test_offline_events_wait",),
    ),
    Mutant(
        "snippet-opt-out",
        "the check of the visitor's choice before an event is tracked",
        (Edit(SOURCE, "if (optedOut()) return;"),),
        (f"{MANNERS}::test_opting_out_ends_it",),
    ),
    Mutant(
        "snippet-forgets",
        "the removal of the queue when a visitor opts out",
        (Edit(SOURCE, "queued().forEach(drop);"),),
        (f"{MANNERS}::test_opting_out_ends_it",),
    ),
    Mutant(
        "snippet-wish",
        "the page's setting whether the browser's privacy signal is respected",
        (Edit(SOURCE, "respect.includes('dnt') && navigator", "navigator"),),
        (f"{MANNERS}::test_the_browsers_wish_is_respected_where_the_page_says_so",),
    ),
    Mutant(
        "snippet-token-time",
        "the check of a token's expiry",
        (Edit(SOURCE, "return kept?.until > Date.now() && kept;", "return kept;"),),
        (f"{SNIPPET}::test_an_expired_token_is_renewed",),
    ),
    Mutant(
        "snippet-token-refused",
        "another token after the gateway refused one",
        (Edit(SOURCE, "remove(TOKEN); return again", "return again"),),
        (f"{SNIPPET}::test_an_expired_token_is_renewed",),
    ),
    Mutant(
        "snippet-number-bound",
        "the limit on the number of queued events",
        (Edit(SOURCE, "count >= MOST_EVENTS ||"),),
        (f"{MANNERS}::test_the_queue_is_bounded",),
    ),
    Mutant(
        "snippet-size-bound",
        "the limit on the size of the queue",
        (Edit(SOURCE, "|| count && total > MOST_CHARS"),),
        (f"{MANNERS}::test_the_queue_is_bounded",),
    ),
    Mutant(
        "snippet-event-bound",
        "the limit on the size of one event",
        (Edit(SOURCE, "if (size(text) > EVENT_BYTES) throw 'the event is too large';"),),
        (f"{MANNERS}::test_nothing_is_thrown_into_the_page",),
    ),
    Mutant(
        "snippet-full-storage",
        "the queue in memory when the storage is full",
        (Edit(SOURCE, "() => { memory[key] = text; }", "() => {}"),),
        (f"{MANNERS}::test_a_poor_browser_still_sends",),
    ),
    Mutant(
        "snippet-nonsense",
        "the check whether a queued value is an event",
        (Edit(SOURCE, "if (start < 0 || isNaN(aside)) { drop(key); continue; }"),),
        (f"{MANNERS}::test_nothing_is_thrown_into_the_page",),
    ),
    Mutant(
        "snippet-beacon",
        "the beacon of a page that is left",
        (Edit(SOURCE, "leaving = true; beacon();", "leaving = true;"),),
        (f"{SNIPPET}::test_a_page_that_is_left_sends_by_beacon",),
    ),
    Mutant(
        "snippet-beacon-kept",
        "the place in the queue of events that a beacon sent",
        (Edit(SOURCE, "batch.keys.forEach((key) => mine.delete(key));", "batch.keys.forEach(drop);"),),
        (f"{SNIPPET}::test_a_page_that_is_left_sends_by_beacon",),
    ),
    Mutant(
        "snippet-shown-again",
        "the resumption of a page that was left",
        (Edit(SOURCE, "listen(window, 'pageshow', () => { leaving = false; schedule(0); });"),),
        (f"{RETRY}::test_a_page_that_comes_back_sends_as_before",),
    ),
    Mutant(
        "snippet-clobbered",
        "the access to the document's properties when elements hide them",
        (Edit(SOURCE, "Reflect.get(Document.prototype, name, document)", "document[name]"),),
        (f"{MANNERS}::test_what_visitors_write_into_the_page_leads_no_event_elsewhere",),
    ),
    Mutant(
        "snippet-hidden",
        "the sending when a page is hidden",
        (Edit(SOURCE, "() => { if (page('hidden')) flush(); }", "() => {}"),),
        (f"{SNIPPET}::test_a_page_that_is_hidden_sends_at_once",),
    ),
    Mutant(
        "snippet-keepalive",
        "requests that outlive a hidden page",
        (Edit(SOURCE, "page('hidden') && size(body) < KEPT_BYTES", "false"),),
        (f"{SNIPPET}::test_a_page_that_is_hidden_sends_at_once",),
    ),
    Mutant(
        "snippet-cut",
        "the halving of a refused batch",
        (Edit(SOURCE, "mostEvents = keys.length >> 1;"),),
        (f"{RETRY}::test_a_batch_that_is_too_large_is_cut",),
    ),
    Mutant(
        "snippet-refused-alone",
        "the removal of an event that is refused alone",
        (
            Edit(
                SOURCE,
                "if (!taken && !refused && !foreign) return pause(answer);",
                "if (!taken && !foreign) return pause(answer);",
            ),
        ),
        (f"{RETRY}::test_an_event_that_nobody_takes_holds_up_no_other",),
    ),
    Mutant(
        "snippet-no-locks",
        "the sending without a lock if locks are refused",
        (Edit(SOURCE, "if (begun) throw error;", "throw error;"),),
        (f"{REFUSED}::test_what_a_page_refuses_costs_no_event",),
    ),
    Mutant(
        "snippet-storage-look",
        "the check whether storage has kept a written value",
        (Edit(SOURCE, "if (localStorage.getItem(key) != text) throw 0;"),),
        (f"{REFUSED}::test_what_a_page_refuses_costs_no_event",),
    ),
    Mutant(
        "snippet-own-202",
        "the rule that only the gateway's own 202 empties the queue",
        (Edit(SOURCE, "own && status == 202,", "status < 300,"),),
        (f"{REFUSED}::test_only_the_gateways_202_empties_the_queue",),
    ),
    Mutant(
        "snippet-foreign",
        "the post without events that distinguishes a refused event from a blocked path",
        (Edit(SOURCE, "isOwn(await post(postUrl, '{\"events\":[]}', token.value))", "false"),),
        (f"{REFUSED}::test_a_firewall_refuses_one_event_and_the_others_arrive",),
    ),
    Mutant(
        "snippet-there",
        "the check before a post whether the gateway answers",
        (Edit(SOURCE, "failures % 3 == 2 && await probe()", "failures % 3 == 2"),),
        (f"{REFUSED}::test_a_gateway_that_comes_or_goes_refuses_no_event",),
    ),
    Mutant(
        "snippet-aside",
        "the place in the queue of an event that an intermediary refused",
        (Edit(SOURCE, "if (foreign) return write(keys[0], Date.now() + MOST_ASKED + text.slice(text.indexOf('{')));"),),
        (f"{REFUSED}::test_a_firewall_refuses_one_event_and_the_others_arrive",),
    ),
    Mutant(
        "snippet-json",
        "the JSON encoding that the page's libraries can't change",
        (Edit(SOURCE, "? own : given;", "? given : given;"),),
        (f"{REFUSED}::test_a_library_that_changes_json_changes_no_event",),
    ),
    Mutant(
        "snippet-own-commands",
        "the table of commands without inherited names",
        (Edit(SOURCE, "__proto__: null,"),),
        (f"{REFUSED}::test_an_unknown_command_is_named",),
    ),
]
