"""The comparison of a lane's positions with the offsets stored in Postgres."""

from tools.mutants.mutant import Edit, Mutant

COMMITTER = "tests/unit/streams/worker/test_committer.py"
LANE = "tests/unit/streams/worker/test_lane.py"

MUTANTS = [
    Mutant(
        "stands",
        "the check that all of a lane's partitions are at the offsets where it left them",
        (Edit("streams/worker/committer.py::BatchCommitter._check_stored", "check_positions(...)"),),
        (f"{COMMITTER}::test_a_busy_lane_follows_a_partition_that_moved",),
    ),
    Mutant(
        "check-before-copies",
        "the check of the stored offsets before copies are published",
        (Edit("streams/worker/committer.py::BatchCommitter._check_stored", "any(...)", "False"),),
        (f"{COMMITTER}::test_offsets_are_checked_once_a_second_without_copies",),
    ),
    Mutant(
        "idle-look",
        "an idle lane's check of its offsets",
        (Edit("streams/worker/lane.py::Lane._prove_idle", "stored != self.positions", "not self.positions"),),
        (f"{LANE}::test_an_idle_lane_follows_offsets_that_moved",),
    ),
]
