"""timm: fine-tuning with the options of its train.py, through its library.

As train.py does, each epoch ends with a look at validation, and the averaged weights of the best epoch are kept. Its
option --head-init-scale is set: timm draws an EfficientNet's classifier of few classes so wide that the first loss is
several times that of a guess, and a short training does not recover from it.
"""

import copy
import tempfile
from pathlib import Path
from typing import Any

import torch
from sklearn.metrics import accuracy_score

from benchmarks.peers.loading import Fitted, OnEpoch, batches, probabilities, unlabelled
from benchmarks.peers.tasks import Data
from benchmarks.peers.weights import ARCHITECTURE, options

SETTINGS: dict[str, Any] = {
    "warmup_epochs": 1, "batch_size": 32, "opt": "adamw", "lr": 5e-4, "weight_decay": 0.05,
    "layer_decay": 0.75, "sched": "cosine", "smoothing": 0.1, "mixup": 0.2, "drop": 0.2, "head_init_scale": 0.001,
    "model_ema": "decay 0.9998 with warm-up", "augmentation": "its defaults: crop of 8 to 100 %, flip, colour 0.4",
}  # fmt: skip
EPOCHS = {128: 10, 224: 5}  # by the most pixels a side: on a processor, ten epochs of larger images take an hour


def fit(data: Data, seed: int, on_epoch: OnEpoch) -> Fitted:
    """Train on these images."""
    from timm import create_model
    from timm.data import Mixup, create_transform, resolve_model_data_config
    from timm.loss import SoftTargetCrossEntropy
    from timm.optim import create_optimizer_v2
    from timm.scheduler import create_scheduler_v2
    from timm.utils import ModelEmaV3, random_seed

    s, epochs = SETTINGS, next(EPOCHS[side] for side in sorted(EPOCHS) if data.size <= side)
    random_seed(seed)
    with tempfile.TemporaryDirectory() as folder:
        network = create_model(
            ARCHITECTURE, num_classes=len(data.classes), drop_rate=s["drop"], **options(Path(folder))
        )
    with torch.no_grad():
        for parameter in network.get_classifier().parameters():
            parameter.mul_(s["head_init_scale"])
    network = network.to(memory_format=torch.channels_last)
    config = resolve_model_data_config(network, {"input_size": (3, data.size, data.size)})
    scored = create_transform(**config)
    loader = batches(data.train, create_transform(**config, is_training=True), s["batch_size"], seed)
    mix = Mixup(s["mixup"], label_smoothing=s["smoothing"], num_classes=len(data.classes))
    optimizer = create_optimizer_v2(network, s["opt"], s["lr"], s["weight_decay"], layer_decay=s["layer_decay"])
    schedule, _ = create_scheduler_v2(optimizer, s["sched"], epochs, warmup_epochs=s["warmup_epochs"],
                                      step_on_epochs=False, updates_per_epoch=len(loader))  # fmt: skip
    average = ModelEmaV3(network, decay=0.9998, use_warmup=True)
    loss, step, best, kept, chosen = SoftTargetCrossEntropy(), 0, -1.0, average.module, 0
    schedule.step_update(0)
    for epoch in range(1, epochs + 1):
        network.train()
        for images, labels in loader:
            images, targets = mix(images.contiguous(memory_format=torch.channels_last), labels)
            optimizer.zero_grad()
            loss(network(images), targets).backward()
            optimizer.step()
            step += 1
            average.update(network, step=step)
            schedule.step_update(step)
        found = accuracy_score(data.valid.labels, probabilities(average.module, data.valid, scored).argmax(1))
        if found > best:
            best, kept, chosen = found, copy.deepcopy(average.module), epoch
        on_epoch(epoch, epochs)
    return Fitted(
        lambda paths: probabilities(kept, unlabelled(paths), scored), {"epochs": epochs, **s}, {"epoch": chosen}
    )
