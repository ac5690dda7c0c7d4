"""benchmarks/results/peers.md, made from the records."""

from collections.abc import Sequence

from benchmarks.peers.records import Record
from benchmarks.peers.tasks import NAMES

ARMS = ("frozen", "finetune", "scratch")
HEAD = """# Peers, side by side

Made by `uv run python -m benchmarks.peers`. Each tool is used as its documentation says, untuned, on the same train,
validation and test splits, with the same weights (EfficientNet-Lite0 on ImageNet) and on one thread. Scores are on
test, AUC one class against the rest. Where a tool has several trainings, figures are means over their seeds.
CPU-seconds are what one model takes: of a peer, a whole process; of headstart, its search and one training.

| task | arm | tool | accuracy | AUC | log loss | CPU-seconds | trainings | pixels |
|---|---|---|---:|---:|---:|---:|---:|---:|
"""
NOTES = """
## What was set

What a tool chose by looking at validation stands in [peers.json](peers.json), with every training's scores.

"""


def table(records: Sequence[Record]) -> str:
    """Return peers.md."""
    ordered = sorted(records, key=lambda r: (NAMES.index(r["task"]), ARMS.index(r["arm"]), r["tool"]))
    lines = [
        f"| {r['task']} | {r['arm']} | {r['tool']} | {100 * r['accuracy']:.1f} % | {r['auc']:.3f} | "
        f"{r['log_loss']:.3f} | {r['cpu_seconds']:,.0f} | {len(r['trainings'])} | {r['settings']['image_size']} |\n"
        for r in ordered
    ]
    tools = dict.fromkeys(r["tool"] for r in ordered if "versions" in r)
    described = [_described([r for r in ordered if r["tool"] == tool]) for tool in tools]
    return HEAD + "".join(lines) + NOTES + "".join(described)


def _described(records: Sequence[Record]) -> str:
    first = records[0]
    versions = ", ".join(f"{name} {release}" for name, release in first["versions"].items())
    settings = "; ".join(_setting(name, records) for name in first["settings"] if name != "image_size")
    return f"- {first['tool']} ({versions}): {settings}.\n"


def _setting(name: str, records: Sequence[Record]) -> str:
    """Return a setting's value, or its values by task where they differ."""
    values = {r["task"]: str(r["settings"][name]) for r in records}
    alike = len(set(values.values())) == 1
    shown = values[records[0]["task"]] if alike else ", ".join(f"{value} ({task})" for task, value in values.items())
    return f"{name.replace('_', ' ')} {shown}"
