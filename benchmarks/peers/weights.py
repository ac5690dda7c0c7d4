"""The packaged EfficientNet-Lite0 under timm's own names, for the tools that load it through timm."""

from pathlib import Path

import timm
import torch

from pipeline.config.backbone_table import BACKBONES
from pipeline.network.pretrained import load_pretrained

NAME = "efficientnet_lite0"
ARCHITECTURE = BACKBONES[NAME].architecture


def timm_file(folder: Path) -> Path:
    """Write the weights to a file that timm loads: `pretrained_cfg_overlay={"file": ...}`; return its path."""
    network = timm.create_model(ARCHITECTURE)
    load_pretrained(network, BACKBONES[NAME])
    path = folder / f"{ARCHITECTURE}.pth"
    torch.save(network.state_dict(), path)
    return path


def options(folder: Path) -> dict[str, object]:
    """Return the options of `timm.create_model` that load the packaged weights instead of fetching timm's."""
    return {
        "pretrained": True,
        "pretrained_cfg_overlay": {"file": str(timm_file(folder)), "hf_hub_id": None, "url": ""},
    }
