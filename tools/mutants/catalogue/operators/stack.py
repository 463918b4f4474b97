"""The mechanisms that close the embedded stack to other accounts, and that keep deployed files current."""

from tools.mutants.mutant import Edit, Mutant

ACCOUNTS = "tests/integration/commands/test_stack_accounts.py"
CONVERTED = f"{ACCOUNTS}::test_an_older_directory_is_converted"
FINDINGS = "tests/unit/deploy/test_findings.py"
MODES = f"{ACCOUNTS}::test_no_file_is_open_whatever_the_umask"
PINS = "tests/unit/deploy/test_pins.py"

PROOF = "tests/unit/sinks/postgres/test_server_proof.py"
PROCESS = "tests/unit/bridge/test_stack_process.py"
STRANGERS = "tests/unit/bridge/test_stack_strangers.py"

MUTANTS = [
    Mutant(
        "proof-telling",
        "the refusal of a server that asks for the password in clear text or as an MD5 digest",
        (Edit("sinks/postgres/server_proof.py::_Proving._problem", "status in _TELLING", "status < 0"),),
        (f"{PROOF}::test_server_proof_keeps_the_password_from_whoever_asks",),
    ),
    Mutant(
        "proof-certificate",
        "the check whether a certificate was verified",
        (
            Edit(
                "sinks/postgres/server_proof.py::_Proving._certified",
                "tls.context.verify_mode == ssl.CERT_REQUIRED",
                "True",
            ),
        ),
        (f"{PROOF}::test_server_proof_by_a_certificate_suffices",),
    ),
    Mutant(
        "proof-unfinished",
        "the requirement that a SCRAM exchange ends with the server's proof",
        (
            Edit(
                "sinks/postgres/server_proof.py::_Proving._problem",
                "_SASL in self._seen or self._place in _proved",
                "self._place in _proved",
            ),
        ),
        (f"{PROOF}::test_server_proof_is_demanded_to_the_end",),
    ),
    Mutant(
        "proof-memory",
        "the memory of a server that has proved itself",
        (Edit("sinks/postgres/server_proof.py::_Proving.data_received", "_proved.add(self._place)", "pass"),),
        (f"{PROOF}::test_server_proof_is_demanded_of_a_server_that_gave_it_before",),
    ),
    Mutant(
        "proof-length",
        "the limit on a server's bytes before it is ready",
        (Edit("sinks/postgres/server_proof.py::_Proving.data_received", "self._taken > _MOST", "False"),),
        (f"{PROOF}::test_server_proof_keeps_no_endless_talk",),
    ),
    Mutant(
        "stack-databases",
        "the revocation of the accounts' access to the stack's other databases",
        (
            Edit(
                "bridge/dev/stack/databases.py::ensure_database",
                """f'REVOKE CONNECT ON DATABASE "{_MAINTENANCE}", "{_TEMPLATE}" FROM PUBLIC'""",
                """f'REVOKE CONNECT ON DATABASE "{_TEMPLATE}" FROM PUBLIC'""",
            ),
        ),
        (f"{ACCOUNTS}::test_a_reader_of_the_stack_has_no_more_than_it_needs",),
    ),
    Mutant(
        "proof-rounds",
        "the limit on the rounds of SCRAM that a server may ask for",
        (
            Edit(
                "sinks/scram.py::problem_of",
                "(rounds := int(read[3])) > MOST_ROUNDS",
                "(rounds := int(read[3])) > 10**6",
            ),
        ),
        (f"{PROOF}::test_server_proof_computes_nothing_that_no_server_asks_for",),
    ),
    Mutant(
        "proof-rounds-once",
        "the refusal of a second request for SCRAM's rounds",
        (Edit("sinks/postgres/server_proof.py::_Proving._problem", "status in self._seen", "status < 0"),),
        (f"{PROOF}::test_server_proof_computes_once",),
    ),
    Mutant(
        "proof-rounds-kafka",
        "the check of the rounds of SCRAM that a Kafka broker asks for",
        (
            Edit(
                "sinks/kafka/connection.py::_bounded",
                "(problem := problem_of(server_first.encode()))",
                "(problem := None)",
            ),
        ),
        ("tests/unit/sinks/kafka/test_connection.py::test_a_broker_has_no_client_compute_what_no_broker_asks_for",),
    ),
    Mutant(
        "stack-listener",
        "the check whether the stack's own Postgres listens before a connection is opened",
        (
            Edit(
                "bridge/dev/stack/postgres.py::PostgresServer.ready",
                '_listens(self.directory / "postgres" / "data", pid) and asyncio.run(answers(self.port, self.credentials))',
                "asyncio.run(answers(self.port, self.credentials))",
            ),
        ),
        (f"{ACCOUNTS}::test_a_stranger_on_the_port_is_told_nothing",),
    ),
    Mutant(
        "stack-strangers-above",
        "the refusal of a directory below one of another account's",
        (
            Edit(
                "bridge/dev/stack/private.py::refuse_strangers",
                "dict.fromkeys(path for entry in entries for path in reversed(entry.parents))",
                "dict.fromkeys((directory, real))",
            ),
        ),
        (f"{STRANGERS}::test_strangers_directory_is_refused_by_every_command",),
    ),
    Mutant(
        "stack-writable-above",
        "the refusal of a directory below one in which every account may replace files",
        (
            Edit(
                "bridge/dev/stack/private.py::refuse_strangers",
                "found.st_mode & _EVERYBODY == stat.S_IWOTH",
                "path == directory",
            ),
        ),
        (f"{STRANGERS}::test_strangers_directory_is_refused_by_every_command",),
    ),
    Mutant(
        "stack-strangers-again",
        "the second check for other accounts, after the directory is created",
        (Edit("bridge/dev/stack/stack.py::Stack._prepare_directory", "self._refuse_strangers()", "pass"),),
        (f"{STRANGERS}::test_strangers_directory_that_appears_after_the_look_is_refused",),
    ),
    Mutant(
        "stack-clock",
        "the comparison of a process's start in ticks since the boot",
        (
            Edit(
                "bridge/dev/stack/process.py::Identity.process",
                "_started(self.pid) == self.started",
                "abs(process.create_time() - self.created) < 1",
            ),
        ),
        (f"{PROCESS}::test_process_is_the_same_after_a_step_of_the_clock",),
    ),
    Mutant(
        "stack-boot",
        "the boot that the ticks of a process's start count from",
        (Edit("bridge/dev/stack/process.py::_started", 'f"{boot}:{int(told[19])}"', "told[19].decode()"),),
        (f"{PROCESS}::test_process_of_another_start_or_boot_is_another",),
    ),
    Mutant(
        "stack-down-strangers",
        "the check for other accounts' directories before `bridge stack down`",
        (Edit("bridge/dev/stack/stack.py::Stack.stop", "self._refuse_strangers()", "pass"),),
        (f"{STRANGERS}::test_strangers_directory_is_refused_by_every_command",),
    ),
    Mutant(
        "stack-status-strangers",
        "the check for other accounts' directories before `bridge stack status`",
        (Edit("bridge/dev/stack/stack.py::Stack.status", "self._refuse_strangers()", "pass"),),
        (f"{STRANGERS}::test_strangers_directory_is_refused_by_every_command",),
    ),
    Mutant(
        "stack-state-owner",
        "the check of stack.json's owner",
        (Edit("bridge/dev/stack/state.py::read", "refuse_stranger(path, os.fstat(handle))", "pass"),),
        (f"{STRANGERS}::test_strangers_state_is_not_believed",),
    ),
    Mutant(
        "stack-own-process",
        "the check whether a process is a server of this directory before it is ended",
        (Edit("bridge/dev/stack/state.py::_living", "identity.was_given(own)", "identity.alive()"),),
        (f"{STRANGERS}::test_strangers_process_is_not_ended",),
    ),
    Mutant(
        "stack-purge-link",
        "the removal of a link instead of its target",
        (
            Edit(
                "bridge/dev/stack/postgres.py::remove_files",
                "place.parent == _SHARED_PLACE and place.name.startswith(_PLACE_PREFIX)",
                "place.is_dir()",
            ),
        ),
        (f"{STRANGERS}::test_strangers_tree_outlives_a_purge",),
    ),
    Mutant(
        "stack-password",
        "the password that the embedded Postgres requires",
        (Edit("bridge/dev/stack/cluster.py::_METHOD", '"scram-sha-256"', '"trust"'),),
        (f"{ACCOUNTS}::test_another_account_is_refused", CONVERTED),
    ),
    Mutant(
        "stack-older-password",
        "the superuser's password in the directory of an earlier release",
        (Edit("bridge/dev/stack/postgres.py::PostgresServer.prepare", "demand_passwords(...)"),),
        (CONVERTED,),
    ),
    Mutant(
        "stack-older-trust",
        "the end of `trust` in the directory of an earlier release",
        (
            Edit(
                "bridge/dev/stack/cluster.py::demand_passwords",
                "_TRUSTED.sub(...)",
                'rules.read_text(encoding="utf-8")',
            ),
        ),
        (CONVERTED,),
    ),
    Mutant(
        "stack-older-owner",
        "the change of owner of the superuser's objects",
        (Edit("bridge/dev/stack/databases.py::ensure_database", "await _hand_over(port, credentials, name)", "pass"),),
        (CONVERTED,),
    ),
    Mutant(
        "stack-temporary",
        "the revocation of TEMPORARY from PUBLIC on the stack's database",
        (
            Edit(
                "bridge/dev/stack/databases.py::ensure_database",
                "f'REVOKE TEMPORARY ON DATABASE \"{DATABASE}\" FROM PUBLIC'",
                "'SELECT 1'",
            ),
        ),
        (f"{ACCOUNTS}::test_a_reader_of_the_stack_has_no_more_than_it_needs",),
    ),
    Mutant(
        "stack-unfinished",
        "the note that a conversion is not complete",
        (
            Edit(
                "bridge/dev/stack/databases.py::ensure_database",
                "if not credentials.applied:\n    await _ensure_role(connection, credentials)",
                "pass",
            ),
        ),
        (CONVERTED, f"{ACCOUNTS}::test_an_interrupted_conversion_is_completed"),
    ),
    Mutant(
        "stack-running-older",
        "the refusal of a stack that an earlier release started and that still runs",
        (
            Edit(
                "bridge/dev/stack/stack.py::Stack.start",
                "not before.credentials.applied",
                "before.controller_port == 0",
            ),
        ),
        (f"{ACCOUNTS}::test_a_running_stack_of_an_earlier_release_is_named",),
    ),
    Mutant(
        "stack-directories",
        "the closed modes of the stack's directories",
        (
            Edit(
                "bridge/dev/stack/private.py::close_directory",
                "path.chmod(_OWNER_ONLY if group is None else _GROUP_PASSES)",
                "pass",
            ),
        ),
        (MODES,),
    ),
    Mutant(
        "stack-files",
        "the closed modes of the files that the servers write",
        (Edit("bridge/dev/stack/supervisor.py::Supervisor._launch", "0o077", "-1"),),
        (MODES,),
    ),
    Mutant(
        "stack-log-link",
        "the refusal to follow a link in place of a log",
        (Edit("bridge/dev/stack/supervisor.py::_open_log", "os.O_NOFOLLOW", "0"),),
        (f"{ACCOUNTS}::test_a_link_in_place_of_a_log_is_not_followed",),
    ),
    Mutant(
        "stack-strangers",
        "the refusal of a directory that another account prepared",
        (
            Edit(
                "bridge/dev/stack/private.py::refuse_stranger",
                "found.st_uid not in (os.geteuid(), 0, Path('/').stat().st_uid)",
                "False",
            ),
        ),
        (f"{ACCOUNTS}::test_what_another_account_prepared_is_refused",),
    ),
    Mutant(
        "stack-state",
        "the closed mode of the file with the passwords",
        (Edit("bridge/dev/stack/private.py::write_private", "0o600", "0o644"),),
        (MODES,),
    ),
    Mutant(
        "pin-digest",
        "the comparison of a registry's content with the digest that it names",
        (Edit("deploy/pins/registry.py::Sources._digest", "told not in (None, digest)", "digest == told + 'x'"),),
        (PINS,),
    ),
    Mutant(
        "pin-moved",
        "the check whether a tag still refers to the pinned digest",
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
