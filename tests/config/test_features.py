import pytest
from pydantic import ValidationError

from pipeline.config.features import AUTO, Features


def test_auto_stands_for_what_is_found_later():
    assert Features(views="auto", tta=True).views == AUTO


@pytest.mark.parametrize("views", [["auto", "identity"], ["identity", "auto"], ["auto", "auto"], [], "identity"])
def test_auto_stands_alone_and_views_are_a_list(views):
    with pytest.raises(ValidationError):
        Features(views=views, tta=True)


def test_the_limit_of_the_cache_is_in_gigabytes():
    assert Features(views=("identity",), tta=True, cache_gb=0.5).cache_bytes == 500_000_000
