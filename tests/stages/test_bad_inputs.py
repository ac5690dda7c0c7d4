"""What people get wrong: each ends with exit code 2 and a few lines that name the file or key and say what to do."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from pipeline.stages import compare, download, prepare, register, train, tune


class Site:
    """A folder with images, params, prepared splits and results of every stage, all sound until a case breaks one."""

    def __init__(self, root, raw, params, chain):
        self.root, self.raw, self.params, self.chain = root, raw, params, chain
        for stage in ("tune", "train"):
            shutil.copytree(chain.root / "results" / stage, root / "results" / stage)
            shutil.copytree(chain.root / "results/timings" / stage, root / "results/timings" / stage)
        for part in ("dev", "test", "summary"):
            shutil.copytree(getattr(chain.prepared, part), root / part)
        shutil.copytree(chain.root / "models", root / "models")
        shutil.copy(chain.root / "views.json", root)
        shutil.copy(chain.root / "results/verdict.json", root)
        shutil.copy(chain.root / "results/comparison.json", root)

    def row(self, name="frozen"):
        return self.params["strategies"][name]

    def command(self, stage):
        """Return a stage's main and its arguments; what it writes goes into `out`."""
        root, out = self.root, self.root / "out"
        strategy, options = {
            "download": (["nothing-of-the-kind"], {"out": out, "downloads": out}),
            "prepare": ([], {"dev": out / "dev", "test": out / "test", "summary": out / "data"}),
            "tune": (["frozen"], {"dev": root / "dev", "weights": root / "weights", "views": root / "views.json",
                                  "work": out / "work", "out": out}),
            "train": (["frozen"], {"dev": root / "dev", "test": root / "test", "weights": root / "weights",
                                   "views": root / "views.json",
                                   "work": out / "work", "out": out,
                                   "tuned": root / "results/tune/frozen.json", "model": out / "model"}),
            "compare": ([], {"tuned": root / "results/tune", "trained": root / "results/train", "test": root / "test",
                             "times": root / "results/timings", "data": root / "summary/summary.json",
                             "models": root / "models",
                             **{name: out / name for name in ("out", "verdict", "page", "report", "figures", "metrics",
                                                              "plots", "cards")}}),
            "register": ([], {"comparison": root / "comparison.json", "verdict": root / "verdict.json",
                              "trained": root / "results/race", "test": root / "test", "models": root / "models",
                              "cards": root / "results/cards",
                              "out": out / "registry.json"}),
        }[stage]  # fmt: skip
        options |= {"params": self.root / "params.yaml"}
        if stage not in ("download", "register"):
            options["timings"] = out / "timings.json"
        modules = {"download": download, "prepare": prepare, "tune": tune, "train": train, "compare": compare,
                   "register": register}  # fmt: skip
        words = [str(word) for name, path in options.items() for word in (f"--{name}", path)]
        return modules[stage].main, [*strategy, *words]


@pytest.fixture
def site(tmp_path, lay_out, small_params, chain):
    small_params["data"]["path"] = str(raw := lay_out())
    return Site(tmp_path, raw, {**small_params, "enabled": ["frozen", "finetune"]}, chain)


def setting(path, value):
    """Give a key of params.yaml a value; a dot stands for a level."""

    def break_it(site):
        *above, last = path.split(".")
        level = site.params
        for key in above:
            level = level[key]
        level[last] = value

    return break_it


def text(file, content):
    def break_it(site):
        target = site.root / file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content if isinstance(content, bytes) else content.encode())

    return break_it


def remove(file):
    def break_it(site):
        path = site.root / file
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return break_it


def shorten(file):
    def break_it(site):
        content = (site.root / file).read_bytes()
        (site.root / file).write_bytes(content[: len(content) // 2])

    return break_it


def document(file, **changes):
    """Give keys of a JSON file other values; None takes one away."""

    def break_it(site):
        raw = json.loads((site.root / file).read_text()) | changes
        (site.root / file).write_text(json.dumps({key: value for key, value in raw.items() if value is not None}))

    return break_it


def table(change):
    """Change labels.csv."""

    def break_it(site):
        file = site.raw / "labels.csv"
        change(pd.read_csv(file, dtype=str)).to_csv(file, index=False)

    return break_it


def arrays(images, labels):
    """Bring packed arrays in place of files."""

    def break_it(site):
        shutil.rmtree(site.raw)
        site.raw.mkdir()
        np.save(site.raw / "images.npy", images, allow_pickle=True)
        if labels is not None:
            np.save(site.raw / "labels.npy", labels)

    return break_it


def classes_in_folders(site):
    """Bring one folder per class, split into train and valid alone."""
    image = (site.raw / "000.png").read_bytes()
    shutil.rmtree(site.raw)
    for name in ("train/cat", "train/dog", "valid/cat"):
        (site.raw / name).mkdir(parents=True)
        (site.raw / name / "a.png").write_bytes(image)


def forget_a_column(site):
    manifest = site.root / "dev/manifest.csv"
    pd.read_csv(manifest, dtype=str).drop(columns="label").to_csv(manifest, index=False)


PIXELS = np.zeros((40, 8, 8), np.uint8)
LETTERS = np.array(["a", "b"] * 20)
PARAMS = {
    "params.yaml is missing": (lambda site: site.params.clear(), ["params.yaml", "--params"]),
    "params.yaml is no YAML": (text("params.yaml", "data: [1, 2"), ["params.yaml", "not valid YAML"]),
    "params.yaml is a list": (text("params.yaml", "- data"), ["params.yaml", "keys and values"]),
    "a key has a slip": (setting("prepare.image_sise", 64), ["prepare.image_sise"]),
    "a number is a word": (setting("prepare.image_size", "big"), ["prepare.image_size", "big"]),
    "no seed": (setting("train.seeds", []), ["train.seeds"]),
    "a seed twice": (setting("train.seeds", [1, 1]), ["train", "seeds", "once"]),
    "no strategy of that name": (setting("enabled", ["frozn"]), ["enabled", "frozn", "frozen, finetune"]),
    "no backbone of that name": (setting("strategies.frozen.recipe.backbone", "resnet"), ["frozen", "resnet"]),
    "a cut past the end": (setting("strategies.finetune.recipe.cut", 9), ["finetune", "cut", "9"]),
    "weights that do not exist": (
        setting("strategies.frozen.recipe.backbone", "compact"), ["frozen", "compact", "weights: random"]),
    "a range upside down": (
        setting("strategies.frozen.space.dropout", {"low": 1, "high": 0}), ["frozen", "dropout", "below"]),
    "a rung after the end": (setting("strategies.frozen.rungs", [99]), ["frozen", "rungs", "99"]),
    "images larger than packed": (setting("strategies.frozen.recipe.image_size", 64), ["frozen", "prepare.image_size"]),
    "a metric of one's own": (setting("compare.metric", "f2"), ["compare.metric", "accuracy"]),
    "no curve up to all images": (setting("train.fractions", [0.5]), ["train", "fractions", "1"]),
    "a view unheard of": (setting("features.views", ["identity", "zoom"]), ["features.views"]),
    "a limit of nothing": (setting("constraints", {"latency_ms": -1}), ["constraints.latency_ms"]),
}  # fmt: skip
DATA = {
    "no folder": (setting("data.path", "nowhere"), ["data.path", "nowhere"]),
    "a label column of another name": (setting("data.label", "kind"), ["'kind'", "path, label, camera"]),
    "a stratum of another name": (setting("prepare.stratify", ["lens"]), ["'lens'", "path, label, camera"]),
    "a table in another encoding": (text("raw/labels.csv", "path,label\nü,x".encode("latin-1")), ["labels.csv"]),
    "a file that is not there": (remove("raw/005.png"), ["005.png"]),
    "a file of zero bytes": (text("raw/005.png", b""), ["005.png", "empty"]),
    "half an image": (shorten("raw/005.png"), ["005.png", "not a readable image", "fix or remove"]),
    "a label left out": (table(lambda rows: rows.assign(label=["", *rows["label"][1:]])), ["000.png", "no label"]),
    "one class": (table(lambda rows: rows.assign(label="all")), ["'all'", "two classes"]),
    "a class of two": (
        table(lambda rows: rows.assign(label=["few"] * 2 + ["many"] * (len(rows) - 2))), ["'few' (2)", "Add images"]),
    "a split of one's own": (table(lambda rows: rows.assign(split="holdout")), ["holdout", "train", "test"]),
    "a patient without a name": (table(lambda rows: rows.assign(group="")), ["group", "000.png"]),
    "one patient alone": (table(lambda rows: rows.assign(group="Ann")), ["group", "add groups"]),
    "a patient on both sides": (
        table(lambda rows: rows.assign(group="Ann", split=["train", "test"] * (len(rows) // 2))),
        ["same group", "000.png (train), 001.png (test)", "Keep each on one side"]),
    "folders without test": (classes_in_folders, ["no test images", "train"]),
    "images as floats": (arrays(PIXELS / 255, LETTERS), ["images.npy", "uint8"]),
    "images as Python objects": (arrays(np.array([{}] * 40), LETTERS), ["images.npy", "Python objects", "uint8"]),
    "no labels beside the array": (arrays(PIXELS, None), ["images.npy", "labels"]),
    "too few labels": (arrays(PIXELS, LETTERS[:30]), ["labels", "(30,)", "(40,)"]),
}  # fmt: skip
LATER = {
    "a demo that is none": ("download", lambda site: None, ["nothing-of-the-kind", "elpv"]),
    "nothing prepared": ("tune", remove("dev"), ["about.json", "dvc repro"]),
    "prepared images cut short": ("tune", shorten("dev/images.npy"), ["images.npy", "dvc repro"]),
    "prepared images of zero bytes": ("tune", text("dev/images.npy", b""), ["images.npy", "dvc repro"]),
    "a manifest cut short": ("tune", shorten("dev/manifest.csv"), ["manifest.csv", "dvc repro"]),
    "a manifest without labels": ("tune", forget_a_column, ["manifest.csv", "label", "dvc repro"]),
    "a summary cut short": ("tune", shorten("dev/about.json"), ["about.json", "dvc repro"]),
    "a GPU that is not there": ("tune", setting("runtime.device", "cuda"), ["runtime.device", "cpu or auto"]),
    "a strategy that was not tuned": ("train", remove("results/tune/frozen.json"), ["frozen.json", "dvc repro"]),
    "a result of tuning cut short": ("train", shorten("results/tune/frozen.json"), ["frozen.json", "dvc repro"]),
    "test images cut short": ("train", shorten("test/images.npy"), ["images.npy", "dvc repro"]),
    "a strategy that was not trained": ("compare", remove("results/train/frozen.json"), ["frozen.json", "dvc repro"]),
    "predictions cut short": ("compare", shorten("results/train/frozen.csv"), ["frozen.csv", "dvc repro"]),
    "predictions of zero bytes": ("compare", text("results/train/frozen.csv", b""), ["frozen.csv", "dvc repro"]),
    "a model that is gone": ("register", remove("models/frozen"), ["models/frozen", "dvc repro"]),
    "a comparison that is gone": ("register", remove("comparison.json"), ["comparison.json", "dvc repro"]),
    "a comparison by older code": (
        "register",
        document("comparison.json", schema_version=None),
        ["comparison.json", "no schema version", "reads version 2", "dvc repro"],
    ),
    "a comparison by newer code": (
        "register",
        document("comparison.json", schema_version=9),
        ["comparison.json", "schema version 9", "reads version 2", "dvc repro"],
    ),
    "a comparison without pairs": (
        "register",
        document("comparison.json", pairs=None),
        ["comparison.json", "pairs: field required", "dvc repro"],
    ),
    "a verdict by older code": (
        "register",
        document("verdict.json", schema_version=None),
        ["verdict.json", "no schema version", "dvc repro"],
    ),
    "a verdict that is a list": ("register", text("verdict.json", "[]"), ["verdict.json", "the whole", "dvc repro"]),
    "a result of training by older code": (
        "compare",
        document("results/train/frozen.json", told=True),
        ["frozen.json", "told", "dvc repro"],
    ),
    "timings without latency": (
        "compare",
        document("results/timings/train/frozen.json", latency_ms=None),
        ["timings/train/frozen.json", "latency_ms", "dvc repro"],
    ),
    "a data report without its counts": (
        "compare",
        document("summary/summary.json", counts=None),
        ["summary.json", "counts", "dvc repro"],
    ),
}
CASES = {
    **{name: ("tune", *case) for name, case in PARAMS.items()},
    **{name: ("prepare", *case) for name, case in DATA.items()},
    **LATER,
}


def test_there_are_thirty_and_more():
    assert len(CASES) == len(PARAMS) + len(DATA) + len(LATER) >= 30


@pytest.mark.parametrize("case", CASES)
def test_what_is_wrong_is_named_on_one_screen_and_nothing_is_left_half_written(site, case, capsys, tracking_uri):
    stage, break_it, said = CASES[case]
    break_it(site)
    file = site.root / "params.yaml"
    if site.params and not file.exists():
        file.write_text(json.dumps(site.params), encoding="utf-8")  # JSON is YAML
    main, argv = site.command(stage)
    capsys.readouterr()
    code = main(argv)
    message = capsys.readouterr().err.split("error: ")[-1].replace(str(site.root), "")  # that has digits of its own
    assert code == 2
    assert all(words in message for words in said), message
    assert len(message.splitlines()) <= 24
    assert max(map(len, message.splitlines())) < 600
    assert "Traceback" not in message
    left = [path for path in (site.root / "out").rglob("*") if path.is_file()]
    assert not [path for path in left if path.name.startswith(".")], "a temporary file is left"
    ends = {"comparison.json", "registry.json", "frozen.json", "frozen.csv", "timings.json", "page", "summary.json"}
    assert not ends & {path.name for path in left}, "a result is written although the stage failed"
