"""The mechanisms that close the embedded stack to other accounts, and that keep what is deployed current."""

from mutants.mutant import Edit, Mutant

ACCOUNTS = "tests/integration/test_stack_accounts.py"
CONVERTED = f"{ACCOUNTS}::test_an_older_directory_is_converted"
FINDINGS = "tests/unit/deploy/test_findings.py"
MODES = f"{ACCOUNTS}::test_no_file_is_open_whatever_the_umask"
PINS = "tests/unit/deploy/test_pins.py"

MUTANTS = [
    Mutant(
        "stack-password",
        "the password that the embedded Postgres demands",
        (Edit("bridge/stack/cluster.py::_METHOD", '"scram-sha-256"', '"trust"'),),
        (f"{ACCOUNTS}::test_another_account_is_refused", CONVERTED),
    ),
    Mutant(
        "stack-older-password",
        "the superuser's password in the directory of an earlier release",
        (Edit("bridge/stack/postgres.py::PostgresServer.prepare", "demand_passwords(...)"),),
        (CONVERTED,),
    ),
    Mutant(
        "stack-older-trust",
        "the end of `trust` in the directory of an earlier release",
        (Edit("bridge/stack/cluster.py::demand_passwords", "_TRUSTED.sub(...)", 'rules.read_text(encoding="utf-8")'),),
        (CONVERTED,),
    ),
    Mutant(
        "stack-older-owner",
        "the change of hands of what the superuser owned",
        (Edit("bridge/stack/databases.py::ensure_database", "await _hand_over(port, credentials, name)", "pass"),),
        (CONVERTED,),
    ),
    Mutant(
        "stack-unfinished",
        "the memory that a conversion is not complete",
        (Edit("bridge/stack/databases.py::ensure_database", "if not credentials.applied: ...", "pass"),),
        (CONVERTED, f"{ACCOUNTS}::test_an_interrupted_conversion_is_completed"),
    ),
    Mutant(
        "stack-running-older",
        "the refusal of a stack that an earlier release started and that still runs",
        (Edit("bridge/stack/stack.py::Stack.start", "not before.credentials.applied", "before.controller_port == 0"),),
        (f"{ACCOUNTS}::test_a_running_stack_of_an_earlier_release_is_named",),
    ),
    Mutant(
        "stack-directories",
        "the closed modes of the stack's directories",
        (
            Edit(
                "bridge/stack/private.py::close_directory",
                "path.chmod(_OWNER_ONLY if group is None else _GROUP_PASSES)",
                "pass",
            ),
        ),
        (MODES,),
    ),
    Mutant(
        "stack-files",
        "the closed modes of what the servers write",
        (Edit("bridge/stack/supervisor.py::Supervisor._launch", "0o077", "-1"),),
        (MODES,),
    ),
    Mutant(
        "stack-log-link",
        "the refusal to follow a link in place of a log",
        (Edit("bridge/stack/supervisor.py::_open_log", "os.O_NOFOLLOW", "0"),),
        (f"{ACCOUNTS}::test_a_link_in_place_of_a_log_is_not_followed",),
    ),
    Mutant(
        "stack-strangers",
        "the refusal of a directory that another account prepared",
        (Edit("bridge/stack/private.py::refuse_strangers", "owner not in (os.geteuid(), 0)", "False"),),
        (f"{ACCOUNTS}::test_what_another_account_prepared_is_refused",),
    ),
    Mutant(
        "stack-state",
        "the closed mode of the file with the passwords",
        (Edit("bridge/stack/private.py::write_private", "0o600", "0o644"),),
        (MODES,),
    ),
    Mutant(
        "pin-digest",
        "the comparison of what a registry sent with the digest that it names",
        (Edit("deploy/pins/registry.py::Sources._digest", "told not in (None, digest)", "digest == told + 'x'"),),
        (PINS,),
    ),
    Mutant(
        "pin-moved",
        "the look whether a tag still leads to what was pinned",
        (Edit("deploy/pins/__main__.py::problems", "(now := sources.look_up(one)) != one.pin", "(now := '') != ''"),),
        (PINS,),
    ),
    Mutant(
        "accepted-until",
        "the last day of an accepted finding",
        (Edit("deploy/findings.py::problems", "one.until < today", "one.until < date.min"),),
        (FINDINGS,),
    ),
]
