"""Register every strategy's model, and let the recommended one challenge the champion."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.common.dvc_experiment import experiment
from pipeline.common.files import read_csv
from pipeline.common.hashes import digest
from pipeline.common.provenance import commit
from pipeline.config.params import Register, Runtime
from pipeline.data.labelled_files import LabelledFiles
from pipeline.statistics.recommendation import Recommendation
from pipeline.statistics.schema import Comparison
from pipeline.statistics.stored_results import TrainResult
from pipeline.tracking import served_scores
from pipeline.tracking.arm_runs import ArmTracker
from pipeline.tracking.client import KEY
from pipeline.tracking.gate import Challenger, Judgement, Rules, judge, tolerance
from pipeline.tracking.logged_models import model_key
from pipeline.tracking.promotion import Promotions
from pipeline.tracking.registry import CHALLENGER, Registry, Version

if TYPE_CHECKING:
    import pandas as pd

GAIN, ADMISSIBLE, TOLERANCE, REPORT = (
    "gain_over_majority",
    "meets_constraints",
    "tolerance",
    "report",
)  # tags of a version
DRY_RUN, DISABLED = "dry_run", "disabled"


def rules(wanted: Register, runtime: Runtime, metric: str, confidence: float) -> Rules:
    """Return what params ask of a new champion."""
    return Rules(wanted.min_gain_over_majority, wanted.margin, metric, confidence, runtime.threads)


class Registration:
    """What stage register does, once all results are there."""

    def __init__(
        self, root: Path, wanted: Register, runtime: Runtime, compared: Comparison, verdict: Recommendation
    ) -> None:
        """Register in the MLflow of this root what was compared, as wanted."""
        self._root, self._wanted, self._runtime = root, wanted, runtime
        self._compared, self._chosen, self._admissible = compared, verdict.recommended, verdict.admissible
        self._experiment = experiment()
        self._mode = DRY_RUN if self._experiment else wanted.gate  # nobody chose to publish a trial

    @cached_property
    def _registry(self) -> Registry:
        return Registry(self._root, self._wanted.model)

    @cached_property
    def _promotions(self) -> Promotions:
        return Promotions(self._registry)

    def key(self, models: Path) -> str:
        """Return what identifies the work on a folder of models, one folder for each strategy."""
        keys = [model_key(models / name) for name in sorted(self._compared.strategies)]
        return f"register-{digest([self._wanted, keys, self._compared, self._chosen])}"

    def register(
        self, tracker: ArmTracker, models: Path, trained: Path, images: LabelledFiles
    ) -> tuple[dict[str, Any], str]:
        """Register all models, and ask the gate; return what results/registry.json holds, and a sentence.

        `trained` is the folder of results, `images` are those of test. Raise UserError also where another process has
        changed the champion meanwhile.
        """
        versions = {name: self._add(tracker, name, models / name) for name in sorted(self._compared.strategies)}
        for name, version in versions.items():
            served_scores.keep(self._registry, version, images.digest, evaluated(trained, name))
        judgement = Judgement("no strategy meets the constraints", "", None)
        if self._chosen is not None:
            judgement = self._challenge(self._chosen, versions[self._chosen], trained, images)
        return self._document(versions, judgement), self._closing(judgement)

    def _add(self, tracker: ArmTracker, name: str, folder: Path) -> Version:
        recipe = self._compared.strategies[name].recipe
        model = tracker.model(name, folder, recipe.model_dump())
        tags = {KEY: model_key(folder), "strategy": name, "backbone": recipe.backbone,
                "data": self._compared.dataset.digest, "commit": commit(self._root)}  # fmt: skip
        latest = {
            GAIN: repr(self._gain(name)),
            ADMISSIBLE: str(name in self._admissible).lower(),
            TOLERANCE: repr(tolerance(recipe, self._runtime)),
            REPORT: tracker.latest_stage("compare"),
        }
        aliases = [f"best-{name}", *([CHALLENGER] if name == self._chosen else [])]
        return self._registry.version(str(self._registry.add(model, aliases, tags, latest)))

    @property
    def gain(self) -> float | None:
        """Return the recommended strategy's gain over the commonest class; None where none is recommended."""
        return None if self._chosen is None else self._gain(self._chosen)

    def _gain(self, name: str) -> float:
        return self._compared.gain_over_majority(name)

    def _challenge(self, name: str, version: Version, trained: Path, images: LabelledFiles) -> Judgement:
        """Ask the gate about the recommended version, and do as it says; return its judgement."""
        champion = self._registry.champion()
        self._promotions.finish()  # what a killed process left open
        asked = rules(self._wanted, self._runtime, self._compared.metric, self._compared.confidence)
        stays = champion is not None and champion.version == version.version
        taken_back = self._promotions.was_taken_back(version.version)
        gain, disabled = self._gain(name), self._mode == DISABLED
        if stays and (disabled or gain >= asked.min_gain):
            return Judgement("", "", None)
        if disabled:
            judgement = Judgement("", "the gate is disabled (register.gate)", None)
        else:
            allowed = tolerance(self._compared.strategies[name].recipe, self._runtime)
            challenger = Challenger(version, gain, True, allowed, taken_back, evaluated(trained, name))
            judgement = judge(self._registry, challenger, None if stays else champion, images, asked)
        self._registry.tag(version, judgement.tags())
        self._promotions.record(judgement.entry(version, champion, self._mode == DRY_RUN))
        return judgement

    def _document(self, versions: dict[str, Version], judgement: Judgement) -> dict[str, Any]:
        """Return what results/registry.json holds: the same for a rerun, which finds its own champion in service."""
        champion, numbers = self._registry.champion(), judgement.numbers()
        if champion and self._chosen and champion.version == versions[self._chosen].version:
            line = self._promotions.promoted(champion.version)
            numbers = line.numbers if line else {}
        serving = champion.version if champion else None
        return {
            "model": self._wanted.model,
            "recommended": self._chosen,
            "gate": {
                "mode": self._mode,
                "passed": judgement.passed,
                GAIN: self.gain,
                "min_gain_over_majority": self._wanted.min_gain_over_majority,
                "margin": self._wanted.margin,
                "against": judgement.against,
                "compared": numbers or None,
            },
            "champion": champion and {"version": serving, "strategy": champion.strategy, "data": champion.data},
            "versions": {
                name: {"version": version.version, "digest": version.tags[KEY], "aliases": [
                    f"best-{name}", *([CHALLENGER] if name == self._chosen else []),
                    *(["champion"] if version.version == serving else [])]}
                for name, version in versions.items()
            },
        }  # fmt: skip

    def _closing(self, judgement: Judgement) -> str:
        model, champion = f"models:/{self._wanted.model}@champion", self._registry.champion()
        stays = "" if champion is None else (
            f"{model} stays version {champion.version} ({champion.strategy}, data {champion.data})."
        )  # fmt: skip
        if not judgement.passed:
            return f"No {'new ' if champion else ''}champion: {judgement.against}. {stays}".rstrip()
        if self._mode == DRY_RUN and judgement.said:
            why = f"experiment {self._experiment} of DVC" if self._experiment else "register.gate: dry_run"
            return (
                f"Dry run ({why}): {self._chosen} may become champion: {judgement.said}. To make it so: "
                f"uv run headstart registry promote challenger. {stays}".rstrip()
            )
        said = f" {_capital(judgement.said)}." if judgement.compared else ""
        return f"Registered: {model} is {self._chosen}, which the verdict recommends.{said}"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def evaluated(trained: Path, name: str) -> "pd.DataFrame":
    """Return the probabilities that the network to register gave the test images, by id; a column for each class."""
    seed = TrainResult.load(trained / f"{name}.json").best_seed
    table = read_csv(trained / f"{name}.csv", {"id": str})
    rows = table[(table["split"] == "test") & (table["fraction"] == 1) & (table["seed"] == seed)]
    columns = [column for column in map(str, table) if column.startswith("p_")]
    found = rows.set_index("id")[columns].rename(columns=lambda column: column[2:])
    return found[~found.index.duplicated()]
