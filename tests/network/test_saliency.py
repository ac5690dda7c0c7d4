"""Maps are high where the only thing is that tells the classes apart."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from pipeline.config.backbone_table import BACKBONES, resolve
from pipeline.config.recipe import Recipe
from pipeline.inference.classifier import Classifier
from pipeline.inference.network import Network, apply_view
from pipeline.network.build import save_model
from pipeline.network.cut import describe
from pipeline.network.pretrained import PACKAGED
from pipeline.network.saliency import BACK, overlay, saliency

SIDE, PATCH = 128, 40


def pictures(count, seed):
    """Noise; in every other picture a patch of stripes. Return them, uint8 (N, S, S, 3), labels, and corners (N, 2)."""
    rng = np.random.default_rng(seed)
    images = rng.normal(120, 12, (count, SIDE, SIDE, 3))
    labels, corners = np.arange(count) % 2, rng.integers(0, SIDE - PATCH, (count, 2))
    stripes = np.where(np.arange(PATCH) % 8 < 4, 40, 220)[:, None, None]
    for image, label, (y, x) in zip(images, labels, corners):
        if label:
            image[y : y + PATCH, x : x + PATCH] = stripes
    return images.clip(0, 255).astype(np.uint8), labels, corners


def trained(folder, recipe, views, learns, steps, rate):
    """Train a network, or its head alone, for so many steps."""
    spec = describe(recipe, resolve(recipe.backbone), ("plain", "patch"), SIDE, 3, views)
    torch.manual_seed(0)
    network = Network(spec)
    if recipe.weights == "pretrained":
        PACKAGED.find(recipe.backbone).load(network.backbone)
    images, labels, _ = pictures(64, 0)
    pixels, wanted = torch.from_numpy(images).permute(0, 3, 1, 2), torch.from_numpy(labels)
    if learns == "head":
        network.eval()
        taken = []
        hook = network.head.register_forward_pre_hook(lambda module, args: taken.append(args[0]))
        with torch.no_grad():
            for part in pixels.split(16):
                network(part)
        hook.remove()
        features = torch.cat(taken)
        network.head[0].measure(features, network.groups)
    optimizer = torch.optim.AdamW((network.head if learns == "head" else network).parameters(), rate, weight_decay=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        F.cross_entropy(network.head(features) if learns == "head" else network(pixels), wanted).backward()
        optimizer.step()
    if learns == "all":
        measure_norms(network, pixels)
    save_model(network, spec, folder)
    return Classifier(folder)


def measure_norms(network, pixels):
    """Few steps leave the running statistics behind: measure them."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None
    with torch.no_grad():
        network.train()(pixels)


KINDS = {
    "network": ({"backbone": "compact", "weights": "random", "cut": "input"}, ("identity",), "all", 12, 0.005),
    "head on features of all stages": (
        {"backbone": "efficientnet_lite0", "weights": "pretrained", "cut": "head", "head": "logistic",
         "features": "stages"}, ("identity", "hflip"), "head", 60, 0.003),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_the_map_is_high_where_the_patch_is(kind, tmp_path):
    wanted, views, learns, steps, rate = KINDS[kind]
    recipe = Recipe(image_size=SIDE, epochs=1, learning_rate=0.1, **wanted)
    classifier = trained(tmp_path / "model", recipe, views, learns, steps, rate)
    images, labels, corners = pictures(20, 1)
    said = classifier.classify([*images])["label"]
    assert ((said == "patch") == (labels == 1)).mean() >= 0.95
    maps = saliency(classifier, [*images])
    assert maps.shape == (20, SIDE, SIDE)
    assert maps.min() >= 0
    assert maps.max() <= 1 + 1e-6
    inside, peaks = [], []
    for seen, label, (y, x), word in zip(maps, labels, corners, said):
        if label and word == "patch":
            y, x, margin = int(y), int(x), 16  # half a cell of the last stage
            around = np.zeros((SIDE, SIDE), bool)
            around[max(0, y - margin) : y + PATCH + margin, max(0, x - margin) : x + PATCH + margin] = True
            inside.append(seen[around].mean() / max(seen[~around].mean(), 1e-9))
            peaks.append(around.flat[seen.argmax()])
    assert len(peaks) >= 9
    assert np.mean(peaks) >= 0.9
    assert np.median(inside) > 3


def test_a_turned_picture_gives_the_turned_map(tmp_path):
    """The mean over all eight views does not prefer a direction: each view's map is turned back the right way."""
    recipe = Recipe(backbone="compact", weights="random", cut="input", image_size=64, epochs=1, learning_rate=0.1)
    views = ("identity", "hflip", "vflip", "rot180", "transpose", "rot90", "rot270", "antitranspose")
    spec = describe(recipe, BACKBONES["compact"], ("a", "b"), 64, 1, views)
    torch.manual_seed(0)
    save_model(Network(spec), spec, tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 1), dtype=np.uint8)
    (plain,) = saliency(classifier := Classifier(tmp_path), [image])
    assert plain.std() > 0.01
    for view in views:
        turned = apply_view(torch.from_numpy(image[..., 0]), view).numpy()[..., None]
        (found,) = saliency(classifier, [np.ascontiguousarray(turned)])
        back = apply_view(torch.from_numpy(found), BACK.get(view, view)).numpy()
        np.testing.assert_allclose(back, plain, atol=1e-3, err_msg=view)


@pytest.mark.parametrize(
    "backbone", ["timm/test_vit", "torchvision/squeezenet1_1", "timm/swin_tiny_patch4_window7_224"]
)
def test_other_families_have_maps_too(backbone, tmp_path):
    recipe = Recipe(backbone=backbone, weights="random", cut="input", image_size=224 if "swin" in backbone else 64,
                    epochs=1, learning_rate=0.1)  # fmt: skip
    spec = describe(recipe, resolve(backbone), ("a", "b"), 64, 3, ("identity",))
    torch.manual_seed(0)
    save_model(Network(spec), spec, tmp_path)
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    (found,) = saliency(Classifier(tmp_path), [image])
    assert found.shape == (64, 64)
    assert np.isfinite(found).all()


def test_an_overlay_is_grey_where_the_map_is_low_and_coloured_where_it_is_high():
    image = np.full((4, 4, 1), 100, np.uint8)
    seen = np.zeros((4, 4))
    seen[0, 0] = 1
    made = overlay(image, seen)
    assert made.shape == (4, 4, 3)
    assert made[1, 1].tolist() == [100, 100, 100]
    red, green, blue = map(int, made[0, 0])
    assert red > 150 > green > blue
