import pytest

from pipeline.config.recipe import Recipe


@pytest.mark.parametrize(
    ("weights", "cut", "found"),
    [("pretrained", "head", "heads"), ("pretrained", 3, "tuned"), ("pretrained", 0, "tuned"),
     ("pretrained", "input", "tuned"), ("random", "input", "fresh"), ("random", 0, "fresh"), ("random", "head", None),
     ("random", 3, None)],
)  # fmt: skip
def test_what_a_strategy_is_a_case_of_follows_from_weights_and_cut(weights, cut, found):
    recipe = Recipe(backbone="efficientnet_lite0", weights=weights, cut=cut, epochs=1, learning_rate=0.1)
    assert recipe.kind == found
