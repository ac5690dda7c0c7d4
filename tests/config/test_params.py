import copy
from contextlib import suppress

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic import ValidationError

from pipeline.common.errors import UserError
from pipeline.config.backbone_table import BACKBONES
from pipeline.config.params import Params, load
from pipeline.config.recipe import IN_ONE_GO, Recipe
from tests.support.imports import ROOT

SHIPPED = ROOT / "params.yaml"
RAW = yaml.safe_load(SHIPPED.read_text(encoding="utf-8"))
# A row whose every setting counts, whatever the shipped rows are.
RAW["strategies"]["frozen"] = yaml.safe_load("""
trials: 64
rungs: [8]
recipe: {backbone: efficientnet_lite0, weights: pretrained, cut: head, hidden: 32, epochs: 30, batch_size: 64}
space:
  head: {choices: [linear, mlp]}
  learning_rate: {low: 0.0001, high: 0.003, log: true}
  weight_decay: {low: 0.1, high: 30.0, log: true}
  dropout: {low: 0.0, high: 0.6}
""")
del RAW["strategies"]["scratch"]["recipe"]["backbone"]
RAW["strategies"]["scratch"]["space"]["backbone"] = {"choices": ["compact", "efficientnet_lite0"]}
GONE = "(gone)"
ROW = "strategies.frozen"
PROXIED = RAW["strategies"]["frozen"] | {"confirm": 3}

# key, what it is changed to, what the message must say
BAD = [
    ("colour", 1, ["colour: unknown key", "allowed here: backbone_aliases, backbones, cluster, compare, constraints"]),
    (
        "prepare.colour",
        1,
        ["prepare.colour: unknown key", "image_size, max_images, max_pixels, near_duplicate_bits, on_problem"],
    ),
    ("register.gain", 1, ["register.gain: unknown key", "min_gain_over_majority, model"]),
    ("search", GONE, ["search: Field required"]),
    (f"{ROW}.trials", GONE, [f"{ROW}.trials: Field required"]),
    (f"{ROW}.recipe.epochs", GONE, [ROW, "epochs: Field required"]),
    ("data", None, ["data: Input should be a valid dictionary"]),
    ("data.path", 3, ["data.path: Input should be a valid string", "found 3"]),
    ("data.name", "../x", ["data.name", "pattern", "../x"]),
    ("register.model", "a b", ["register.model", "pattern", "a b"]),
    ("prepare.image_size", "big", ["prepare.image_size", "integer", "'auto'", "big"]),
    ("prepare.image_size", 4, ["prepare.image_size", "greater than or equal to 8", "found 4"]),
    ("prepare.seed", 1.5, ["prepare.seed", "integer", "1.5"]),
    ("prepare.max_images", 0, ["prepare.max_images", "greater than or equal to 1"]),
    ("prepare.stratify", "camera", ["prepare.stratify", "camera"]),
    ("prepare.test_fraction", 1.0, ["prepare.test_fraction", "less than 1"]),
    ("prepare.valid_fraction", 0, ["prepare.valid_fraction", "greater than 0"]),
    ("features.views", ["identity", "rot45"], ["features.views.1", "'hflip', 'vflip', 'rot180'", "rot45"]),
    ("features.views", ["identity", "hflip", "hflip"], ["features", "each view once"]),
    ("features.views", ["identity", "auto"], ["features", "must be `auto`, or start with"]),
    ("features.views", "all", ["features.views", "a list, such as"]),
    ("features.views", ["hflip"], ["features", "start with `identity`"]),
    ("features.views", [], ["features.views", "at least 1"]),
    ("features.cache_gb", 0, ["features.cache_gb", "greater than 0", "found 0"]),
    ("features.cache_gb", "20 GB", ["features.cache_gb", "number", "20 GB"]),
    ("features.cache_gb", float("inf"), ["features.cache_gb", "finite"]),
    (f"{ROW}.rungs", [10, 5], [ROW, "rungs: must rise"]),
    (f"{ROW}.rungs", [5, 5, 10], [ROW, "rungs: must rise"]),
    (f"{ROW}.rungs", [0, 10], [f"{ROW}.rungs.0", "greater than or equal to 1"]),
    (f"{ROW}.rungs", [0.5], [f"{ROW}.rungs.0", "integer", "0.5"]),
    (f"{ROW}.rungs", [1, 8], [f"{ROW}: rungs: 1 lies in the warm-up, the first quarter of 30 epochs", "may be 8"]),
    (f"{ROW}.rungs", [7], [f"{ROW}: rungs: 7 lies in the warm-up"]),
    (f"{ROW}.proxy", {"epochs": 12}, [ROW, "`proxy`", "`confirm`", "give both or neither"]),
    (f"{ROW}.confirm", 3, [ROW, "`proxy`", "`confirm`", "give both or neither"]),
    (ROW, PROXIED | {"proxy": {"colour": 1}}, [ROW, "colour: unknown key", *Recipe.model_fields]),
    (ROW, PROXIED | {"proxy": {"dropout": 0.1}}, [ROW, "proxy.dropout: is searched in `space`"]),
    (ROW, PROXIED | {"proxy": {"cut": 3}}, [ROW, "proxy.cut: says where learning begins"]),
    (ROW, PROXIED | {"proxy": {"epochs": 0}}, [ROW, "epochs: Input should be greater than or equal to 1", "found 0"]),
    (ROW, PROXIED | {"proxy": {"epochs": 8}}, [ROW, "rungs: must be below the recipe's epochs (8), found [8]"]),
    ("search.budget", 5e13, ["search.budget: the budget is now in multiples of one training", "not in FLOPs"]),
    (f"{ROW}.budget", 2e6, [f"{ROW}.budget: the budget is now in multiples of one training"]),
    ("search.budget", 0, ["search.budget", "greater than 0"]),
    ("search.startup_trials", 0, ["search.startup_trials", "greater than or equal to 1"]),
    ("search.workers", "many", ["search.workers", "auto", "many"]),
    ("search.workers", 0, ["search.workers", "greater than or equal to 1"]),
    ("search.promote_fraction", 1, ["search.promote_fraction", "less than 1"]),
    ("train.seeds", [1, 1], ["train", "seeds: name each once"]),
    ("train.fractions", [0.5, 0.5, 1], ["train", "fractions: name each once"]),
    ("train.fractions", [0.1, 0.5], ["train", "fractions: must name 1"]),
    ("train.fractions", [0, 1], ["train.fractions.0", "greater than 0"]),
    ("train.fractions", [1, 2], ["train.fractions.1", "less than or equal to 1", "2"]),
    ("train.epoch_scaling", 1.5, ["train.epoch_scaling", "less than or equal to 1"]),
    ("train.seeds", [], ["train.seeds", "at least 1"]),
    ("train.seeds", [-1], ["train.seeds.0", "greater than or equal to 0"]),
    ("compare.metric", "f1", ["compare.metric", "'auto', 'accuracy', 'balanced_accuracy', 'roc_auc'", "f1"]),
    ("compare.resamples", 10, ["compare.resamples", "greater than or equal to 100"]),
    ("compare.confidence", float("nan"), ["compare.confidence", "finite"]),
    ("register.min_gain_over_majority", -1, ["register.min_gain_over_majority", "greater than or equal to 0"]),
    ("runtime.device", "tpu", ["runtime.device", "'cpu', 'cuda' or 'auto'", "tpu"]),
    ("cluster", {"executor": "slurm"}, ["cluster.executor", "'local' or 'ray'", "slurm"]),
    ("cluster", {"cpus": 0}, ["cluster.cpus", "greater than 0"]),
    ("cluster", {"gpu": "h9000"}, ["cluster.gpu", "'h100'"]),
    ("cluster", {"price_per_hour": -1}, ["cluster.price_per_hour", "greater than or equal to 0"]),
    ("cluster", {"retries": -1}, ["cluster.retries", "greater than or equal to 0"]),
    ("runtime.threads", 0, ["runtime.threads", "greater than or equal to 1"]),
    ("runtime.devices", 0, ["runtime.devices", "greater than or equal to 1"]),
    ("runtime.micro_batch", 2, ["runtime.micro_batch", "greater than or equal to 3"]),
    ("enabled", [], ["enabled", "at least 1"]),
    ("enabled", ["frozen", "nope"], ["enabled", "'nope'", *RAW["strategies"]]),
    ("enabled", ["frozen", "frozen"], ["enabled", "frozen"]),
    ("backbones", ["vgg"], ["backbones: no backbone is called 'vgg'", *BACKBONES]),
    ("backbones", ["torchvision/resnet50"], ["backbones: no backbone is called 'torchvision/resnet50'", *BACKBONES]),
    ("backbones", ["compact", "compact"], ["backbones: name each once, found compact, compact"]),
    ("backbones", ["efficientnet_lite0"], ["backbones: frozen is run on efficientnet_lite0 already"]),
    (
        "backbones",
        ["compact"],
        [
            "strategies.frozen cannot be run on compact",
            "'compact' has no pretrained weights",
            "take frozen out of `per_backbone` or compact out of `backbones`",
        ],
    ),
    ("backbones", "compact", ["backbones", "compact"]),
    ("strategies.a b", RAW["strategies"]["frozen"], ["strategies.a b", "pattern"]),
    (f"{ROW}.trials", 0, [f"{ROW}.trials", "greater than or equal to 1"]),
    (f"{ROW}.recipe", [1], [f"{ROW}.recipe", "dictionary"]),
    (f"{ROW}.recipe.backbone", "vgg", [ROW, "backbone", "vgg", *BACKBONES]),
    (f"{ROW}.recipe.backbone", "compact", [ROW, "'compact' has no pretrained weights", "random"]),
    (f"{ROW}.recipe.cut", "stem", [ROW, "cut", "'head', 'input', 'early', 'middle' or 'late'", "stem"]),
    (f"{ROW}.recipe.cut", -1, [ROW, "cut", "greater than or equal to 0"]),
    (f"{ROW}.recipe.cut", 8, [ROW, "cut 8", "efficientnet_lite0 has 7 stages"]),
    (f"{ROW}.recipe.batch_size", 1, [ROW, "batch_size", "greater than or equal to 2"]),
    (f"{ROW}.recipe.colour", 1, [ROW, "colour: unknown key", *Recipe.model_fields]),
    (f"{ROW}.recipe.dropout", 0.1, [ROW, "dropout: both fixed in `recipe` and searched in `space`"]),
    (f"{ROW}.space.colour", {"low": 0, "high": 1}, [ROW, "colour: unknown key", *Recipe.model_fields]),
    (
        "strategies.finetune.space.hidden",
        {"low": 16.5, "high": 64},
        ["strategies.finetune", "hidden", "integer", "16.5"],
    ),
    ("strategies.finetune.space.cut", {"low": 3, "high": 5}, ["strategies.finetune", "cut"]),
    (f"{ROW}.space.dropout", 0.1, [f"{ROW}.space.dropout", "dictionary", "0.1"]),
    (f"{ROW}.space.dropout", {"low": 0.6, "high": 0.6}, [f"{ROW}.space.dropout", "low (0.6) must be below high"]),
    (f"{ROW}.space.dropout", {"low": 0, "high": 0.6, "log": True}, [f"{ROW}.space.dropout", "log scale needs low > 0"]),
    (f"{ROW}.space.dropout", {"low": 0, "high": 1.6}, [ROW, "dropout", "less than 1", "1.6"]),
    (f"{ROW}.space.dropout", {"low": 0.1}, [f"{ROW}.space.dropout", "both `low` and `high`"]),
    (
        f"{ROW}.space.dropout",
        {"low": 0, "high": 0.6, "default": 0.7},
        [f"{ROW}.space.dropout", "default (0.7) must be"],
    ),
    (f"{ROW}.space.dropout", {"choices": []}, [f"{ROW}.space.dropout", "choices"]),
    (f"{ROW}.space.dropout", {"choices": [0.1], "low": 0, "high": 1}, [f"{ROW}.space.dropout", "either `choices"]),
    (f"{ROW}.space.dropout", {"min": 0, "high": 1}, [f"{ROW}.space.dropout.min", "choices, default, high, log, low"]),
    (f"{ROW}.space.weight_decay", {"low": 0.1, "high": float("inf")}, [ROW, "weight_decay"]),
    (f"{ROW}.space.head", {"choices": ["linear", "tree"]}, [ROW, "head", "'linear', 'mlp' or 'logistic'", "tree"]),
]


def changed(key, value):
    raw = copy.deepcopy(RAW)
    *folders, last = key.split(".")
    inner = raw
    for part in folders:
        inner = inner[part]
    if value is GONE:
        del inner[last]
    else:
        inner[last] = value
    return raw


def load_raw(folder, raw):
    (folder / "params.yaml").write_text(yaml.safe_dump(raw), encoding="utf-8")
    return load(folder / "params.yaml")


def test_the_shipped_file_loads_as_it_is_written():
    params = load(SHIPPED)
    assert list(params.strategies) == list(RAW["strategies"])
    assert params.register_.model == RAW["register"]["model"]
    assert params.train.seeds == tuple(RAW["train"]["seeds"])


def test_every_shipped_strategy_trains_from_the_first_recipe_of_its_space():
    for row in load(SHIPPED).strategies.values():
        recipe = Recipe(**row.recipe, **{key: axis.ends()[0] for key, axis in row.space.items()})
        assert recipe.epochs == (1 if recipe.head == "logistic" else row.recipe["epochs"])


@pytest.mark.parametrize(("key", "value", "said"), BAD, ids=[f"{key}={str(value)[:30]}" for key, value, _ in BAD])
def test_a_bad_value_is_refused_naming_its_key_and_what_is_allowed(tmp_path, key, value, said):
    with pytest.raises(UserError) as caught:
        load_raw(tmp_path, changed(key, value))
    file, message = str(tmp_path), str(caught.value)
    assert file in message
    message = message.replace(file, "")  # that has digits of its own
    for words in said:
        assert words in message


def test_all_problems_are_named_at_once(tmp_path):
    raw = changed("prepare.seed", -1)
    raw["compare"]["metric"] = "f1"
    with pytest.raises(UserError, match=r"2 problem(?s:.*)prepare\.seed(?s:.*)compare\.metric"):
        load_raw(tmp_path, raw)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1", "not valid YAML"),
        ("a: \x00", "not valid YAML"),
        ("- 1", "found list"),
        ("", "found NoneType"),
        ("1: 2", "1: Keys should be strings"),
        ("a: !!python/object:os.system x", "not valid YAML"),
    ],
)
def test_a_file_that_is_no_table_of_settings_is_refused(tmp_path, text, said):
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=said) as caught:
        load(tmp_path / "params.yaml")
    assert str(tmp_path / "params.yaml") in str(caught.value)


def test_a_missing_file_is_named_with_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.yaml: no such file; .*--params"):
        load(tmp_path / "nowhere.yaml")


def test_a_folder_given_for_the_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=str(tmp_path)):
        load(tmp_path)


def test_an_unknown_strategy_is_refused_naming_those_there_are():
    with pytest.raises(UserError, match=r"'nope'.*frozen, finetune, scratch"):
        load(SHIPPED).strategy("nope")


def sized(packed, **sizes):
    """Return params.yaml's content with images packed at a size, and these sizes (or 64) in the recipes of the rows."""
    raw = changed("prepare.image_size", packed)
    for name, row in raw["strategies"].items():
        row["recipe"]["image_size"] = sizes.get(name, 64)
        row["space"].pop("image_size", None)
        for key in ("proxy", "confirm"):
            row.pop(key, None)
    return raw


def test_images_too_small_for_a_strategy_matter_once_it_is_run(tmp_path):
    raw = sized(128, **{"random-features": 256})
    params, said = load_raw(tmp_path, raw), r"strategies\.random-features: image_size 256 is more than"
    with pytest.raises(UserError, match=said):
        params.strategy("random-features")
    for run in (
        {"enabled": ["random-features"]},
        {"backbones": ["efficientnet_lite1"], "per_backbone": ["random-features"]},
    ):
        with pytest.raises(UserError, match=said):
            load_raw(tmp_path, raw | run)


def search_size(row):
    del row["recipe"]["image_size"]
    row["space"]["image_size"] = {"choices": [64, 256, 128]}


LARGER = {
    "fixed": lambda row: row["recipe"].update(image_size=256), "searched": search_size,
    "searched by proxy": lambda row: row.update(proxy={"image_size": 256}, confirm=1),
    "by default": lambda row: row["recipe"].pop("image_size"),
}  # fmt: skip


@pytest.mark.parametrize("how", LARGER)
def test_a_size_above_a_number_that_images_are_packed_at_is_refused_naming_what_to_do(tmp_path, how):
    raw = sized(96)
    LARGER[how](raw["strategies"]["scratch"])
    size = 128 if how == "by default" else 256
    with pytest.raises(UserError, match="raise that, or set it to auto") as caught:
        load_raw(tmp_path, raw)
    assert f"strategies.scratch: image_size {size} is more than prepare.image_size (96)" in str(caught.value)
    raw["prepare"]["image_size"] = "auto"
    assert load_raw(tmp_path, raw).largest_image_size == size


def test_with_auto_a_strategy_may_ask_for_any_size(tmp_path):
    params = load_raw(tmp_path, sized("auto", **{"random-features": 4096, "frozen": 224}))
    assert params.prepare.image_size == "auto"
    assert params.strategy("random-features").recipe["image_size"] == 4096


def test_the_largest_image_size_is_that_of_what_is_compared(tmp_path):
    raw = sized("auto", frozen=96, finetune=160, scratch=64) | {"enabled": ["frozen", "scratch"], "backbones": []}
    assert load_raw(tmp_path, raw | {"per_backbone": ["finetune"]}).largest_image_size == 96
    crossed = raw | {"per_backbone": ["finetune"], "backbones": ["efficientnet_lite1"]}
    assert load_raw(tmp_path, crossed).largest_image_size == 160


def crossing(backbones, per_backbone, **changes):
    """Return params.yaml's content with rows that any backbone can take, and these per_backbone."""
    raw = copy.deepcopy(RAW) | {"backbones": backbones, "per_backbone": per_backbone} | changes
    for row in raw["strategies"].values():
        row["recipe"]["weights"] = "random"
    return raw


@pytest.mark.parametrize(("per_backbone", "said"), [
    (["frozen", "nope"], "per_backbone: no strategy is called 'nope'; there are finetune"),
    (["frozen", "frozen"], "per_backbone: name each strategy once"),
])  # fmt: skip
def test_crossed_names_that_are_wrong_are_refused_once_there_are_backbones(tmp_path, per_backbone, said):
    file = tmp_path / "params.yaml"
    file.write_text(yaml.safe_dump(RAW | {"backbones": ["compact"], "per_backbone": per_backbone}))
    with pytest.raises(UserError, match=said):
        load(file)
    file.write_text(yaml.safe_dump(RAW | {"backbones": [], "per_backbone": per_backbone}))
    assert list(load(file).arms) == RAW["enabled"]


def test_crossed_strategies_are_arms_on_each_backbone_after_the_enabled_ones(tmp_path):
    params = load_raw(tmp_path, crossing(["compact"], ["random-features", "scratch"]))
    assert list(params.arms) == [*RAW["enabled"], "random-features-compact", "scratch-compact"]
    plain, arm = params.strategy("scratch"), params.strategy("scratch-compact")
    assert arm == params.arms["scratch-compact"]
    assert arm.recipe == plain.recipe | {"backbone": "compact"}
    assert (set(plain.space) - set(arm.space), arm.trials, arm.rungs) == ({"backbone"}, plain.trials, plain.rungs)
    assert params.strategy("frozen") == params.arms["frozen"] == params.strategies["frozen"]


def test_without_backbones_the_enabled_strategies_are_all_arms(tmp_path):
    raw = copy.deepcopy(RAW)
    del raw["backbones"], raw["per_backbone"]
    assert list(load_raw(tmp_path, raw).arms) == list(load(SHIPPED).arms) == RAW["enabled"]


def test_a_strategy_that_is_not_enabled_can_be_crossed_with_the_backbone_of_its_row(tmp_path):
    raw = crossing(["efficientnet_lite0"], ["random-features"])
    assert list(load_raw(tmp_path, raw).arms)[-1] == "random-features-efficientnet_lite0"


def test_a_cut_that_a_backbone_lacks_is_refused_with_what_to_change(tmp_path):
    with pytest.raises(UserError, match=r"strategies\.finetune cannot be run on compact.*compact has 4 stages.*(?s:.)*"
                                        r"take finetune out of `per_backbone`"):  # fmt: skip
        load_raw(tmp_path, crossing(["compact"], ["finetune"]))


def test_two_arms_are_never_called_the_same(tmp_path):
    raw = crossing(["compact"], ["scratch"])
    raw["strategies"]["scratch-compact"] = raw["strategies"]["scratch"]
    with pytest.raises(UserError, match="scratch on compact would be called scratch-compact"):
        load_raw(tmp_path, raw)


def test_backbones_need_strategies_to_be_run_with(tmp_path):
    with pytest.raises(UserError, match="per_backbone: name the strategies"):
        load_raw(tmp_path, crossing(["compact"], []))


def test_devices_that_share_a_training_have_whole_gpus_or_none(tmp_path):
    for gpus in (0, 1, 2):
        assert load_raw(tmp_path, changed("runtime.devices", 2) | {"cluster": {"gpus": gpus}}).runtime.devices == 2
    assert load_raw(tmp_path, changed("cluster", {"gpus": 0.5})).cluster.gpus == 0.5
    with pytest.raises(UserError, match=r"cluster\.gpus: 0\.5 cannot be a part of one where runtime\.devices is 2"):
        load_raw(tmp_path, changed("runtime.devices", 2) | {"cluster": {"gpus": 0.5}})


def test_settings_cannot_be_changed_once_read():
    with pytest.raises(ValidationError, match="frozen"):
        load(SHIPPED).prepare.seed = 1


def test_a_whole_number_can_be_searched_in_a_range(tmp_path):
    params = load_raw(tmp_path, changed("strategies.finetune.space.hidden", {"low": 16, "high": 64}))
    assert params.strategy("finetune").space["hidden"].ends() == (16, 64)


def test_a_space_is_refused_when_only_some_of_its_combinations_can_be_trained(tmp_path):
    raw = changed("strategies.scratch.space.backbone", {"choices": ["efficientnet_lite0", "compact"]})
    del raw["strategies"]["scratch"]["recipe"]["weights"]
    raw["strategies"]["scratch"]["space"]["weights"] = {"choices": ["random", "pretrained"]}
    with pytest.raises(UserError, match="'compact' has no pretrained weights"):
        load_raw(tmp_path, raw)


def keys(tree, path=""):
    return [k for name, inner in tree.items() for k in (f"{path}{name}", *keys_inside(inner, f"{path}{name}."))]


def keys_inside(inner, path):
    return keys(inner, path) if isinstance(inner, dict) else []


FIELDS = [f"{ROW}.{part}.{field}" for part in ("recipe", "space") for field in Recipe.model_fields]
scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)
axes = st.fixed_dictionaries({"choices": st.lists(scalars, max_size=3)}) | st.fixed_dictionaries(
    {"low": scalars, "high": scalars}, optional={"log": st.booleans()}
)


@given(st.sampled_from([*keys(RAW), *FIELDS]), values | axes)
@example(f"{ROW}.space.image_size", {"choices": ["64", "128"]})
def test_whatever_stands_at_a_key_it_is_understood_or_refused_as_the_users_mistake(tmp_path_factory, key, value):
    with suppress(UserError):
        assert isinstance(load_raw(tmp_path_factory.getbasetemp(), changed(key, value)), Params)


@given(st.data(), st.sampled_from(list(load(SHIPPED).strategies.values())))
def test_every_point_of_a_shipped_space_is_a_recipe(data, row):
    point = {
        key: data.draw(st.sampled_from(axis.choices) if axis.choices else st.floats(axis.low, axis.high))
        for key, axis in row.space.items()
    }
    recipe = Recipe(**row.recipe, **point)
    unused = IN_ONE_GO if recipe.head == "logistic" else {}
    assert {key: getattr(recipe, key) for key in point} == point | {key: unused[key] for key in unused if key in point}


def test_epochs_grow_as_images_shrink():
    recipe = Recipe(backbone="compact", weights="random", cut=2, epochs=6, learning_rate=0.01)
    for epoch_scaling, epochs in ((0, 6), (0.5, 12), (1, 24)):
        longer = recipe.with_scaled_epochs(0.25, epoch_scaling)
        assert longer.epochs == epochs
        assert longer.model_copy(update={"epochs": 6}) == recipe
    assert recipe.with_scaled_epochs(1.0, 1) == recipe
    assert recipe.with_scaled_epochs(0.3, 0.5).epochs == 11  # 10.95: rounded up
