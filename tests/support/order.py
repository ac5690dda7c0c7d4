"""Which process runs which tests, and in which order: what takes longest begins first, so that nobody waits for it."""

from typing import Any

TOGETHER = {  # files that share what each process would make for itself: one run of all stages, pages, models' answers
    "tests/stages/": "stages",
    "tests/report/": "report",
    "tests/tracking/test_gate.py": "gate",
    "tests/commands/test_registry.py": "gate",
}
ALONE = ("tests/stages/test_race.py",)  # it makes its own
LONGEST = ("stages", *ALONE, "gate", "report", "tests/config/test_strategies.py", "tests/training/test_unit.py",
           "tests/tracking/test_arm_runs.py", "tests/tracking/test_runs.py", "tests/tracking/test_logged_models.py",
           "tests/training/test_transferability.py", "tests/commands/test_quick.py", "tests/statistics/test_racing.py",
           "tests/benchmarks/test_peers.py", "tests/execution/test_jobs.py")  # fmt: skip


def scope(name: str) -> str:
    """Return what one process runs whole, of a test's name: a file, or the files that belong together."""
    file = name.split("::")[0]
    found = [group for start, group in TOGETHER.items() if file.startswith(start) and file not in ALONE]
    return found[0] if found else file


def rank(name: str) -> int:
    """Return a test's place in the order."""
    return LONGEST.index(scope(name)) if scope(name) in LONGEST else len(LONGEST)


def scheduler(config: Any, log: Any) -> Any:
    """Return the scheduler of pytest-xdist that hands out whole scopes in the order in which they are collected."""
    from xdist.scheduler import LoadScopeScheduling

    class InOrder(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope(nodeid)

    config.option.loadscopereorder = False
    return InOrder(config, log)
