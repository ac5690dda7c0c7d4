"""Keys of params.yaml that had other names once."""

from typing import Any

# Where a key stood, a star for any name, and what it is called now.
RENAMED = {
    ("catalog",): "backbone_aliases",
    ("crossed",): "per_backbone",
    ("features", "average"): "tta",
    ("prepare", "limit"): "max_images",
    ("prepare", "near_duplicates"): "near_duplicate_bits",
    ("register", "min_gain"): "min_gain_over_majority",
    ("search", "generation"): "trials_per_round",
    ("search", "keep"): "promote_fraction",
    ("strategies", "*", "generation"): "trials_per_round",
    ("strategies", "*", "recipe", "balance"): "class_weight_power",
    ("strategies", "*", "recipe", "depth_decay"): "layer_decay",
    ("strategies", "*", "recipe", "jitter"): "color_jitter",
    ("strategies", "*", "recipe", "probe_epochs"): "probe",
    ("strategies", "*", "space", "balance"): "class_weight_power",
    ("strategies", "*", "space", "depth_decay"): "layer_decay",
    ("strategies", "*", "space", "jitter"): "color_jitter",
    ("strategies", "*", "space", "probe_epochs"): "probe",
    ("train", "stretch"): "epoch_scaling",
}


def renamed(raw: dict[Any, Any], above: tuple[Any, ...] = ()) -> tuple[dict[Any, Any], list[str]]:
    """Return settings under today's names, and a line for each key that has an old one."""
    found: dict[Any, Any] = {}
    lines = []
    for key, value in raw.items():
        new = RENAMED.get((*above[:1], *("*" for _ in above[1:2]), *above[2:], key))
        if new is not None:
            lines.append(f"{'.'.join(map(str, (*above, key)))}: is now called {'.'.join(map(str, (*above, new)))}")
        if isinstance(value, dict):
            value, inner = renamed(value, (*above, key))
            lines += inner
        found[new or key] = value
    return found, lines
