"""torchvision: the reference recipe of references/classification, from scratch, shortened.

Its options stand in that folder's README ("new training recipe"); 600 epochs are out of reach here. As there, training
crops are smaller than the images that are scored (176 to 224 pixels there), and both the network and its average are
scored after each epoch; of the two, the one that is better on validation at the end is kept.
"""

from typing import Any

import torch
import torchvision
from sklearn.metrics import accuracy_score
from torch import nn
from torchvision.transforms import v2

from benchmarks.peers.loading import Fitted, OnEpoch, batches, probabilities, unlabelled
from benchmarks.peers.tasks import Data

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
LARGEST = 128  # pixels a side of what is scored: what the demo's budget allows
TRAINED_SHARE = 0.75  # of that side, in training crops; to a multiple of 16 pixels
SETTINGS: dict[str, Any] = {
    "architecture": "resnet18", "epochs": 20, "warmup_epochs": 3, "batch_size": 32, "learning_rate": 0.1,
    "momentum": 0.9, "weight_decay": 2e-5, "norm_weight_decay": 0.0, "schedule": "cosine, linear warm-up",
    "label_smoothing": 0.1, "mixup": 0.2, "cutmix": 1.0, "random_erase": 0.1, "auto_augment": "TrivialAugmentWide",
    "model_ema": "decay 0.99998 adjusted for the batch size, every 32 steps",
}  # fmt: skip


def fit(data: Data, seed: int, on_epoch: OnEpoch) -> Fitted:
    """Train on these images."""
    torch.manual_seed(seed)
    s, size = SETTINGS, min(data.size, LARGEST)
    crop = round(TRAINED_SHARE * size / 16) * 16
    network = torchvision.models.resnet18(num_classes=len(data.classes)).to(memory_format=torch.channels_last)
    training, scored = transforms(crop, size)
    loader = batches(data.train, training, s["batch_size"], seed)
    mix = v2.RandomChoice([v2.MixUp(alpha=s["mixup"], num_classes=len(data.classes)),
                           v2.CutMix(alpha=s["cutmix"], num_classes=len(data.classes))])  # fmt: skip
    optimizer, schedule = optimised(network, s["epochs"])
    average = averaged(network, s["epochs"], s["batch_size"])
    loss = nn.CrossEntropyLoss(label_smoothing=s["label_smoothing"])
    for epoch in range(1, s["epochs"] + 1):
        network.train()
        for step, (images, labels) in enumerate(loader):
            images, targets = mix(images.contiguous(memory_format=torch.channels_last), labels)
            optimizer.zero_grad()
            loss(network(images), targets).backward()
            optimizer.step()
            if step % 32 == 0:
                average.update_parameters(network)
                if epoch <= s["warmup_epochs"]:
                    average.n_averaged.fill_(0)  # it starts when the warm-up ends
        schedule.step()
        on_epoch(epoch, s["epochs"])
    right = {
        one: accuracy_score(data.valid.labels, probabilities(one, data.valid, scored).argmax(1))
        for one in (average, network)
    }
    kept = max(right, key=lambda one: right[one])
    return Fitted(lambda paths: probabilities(kept, unlabelled(paths), scored),
                  {"image_size": size, "train_crop": crop, **s},
                  {"network": "average" if kept is average else "last"})  # fmt: skip


def transforms(crop: int, size: int) -> tuple[v2.Compose, v2.Compose]:
    """Return those of training and those of scoring, as its presets.py has them."""
    last = [v2.PILToTensor(), v2.ToDtype(torch.float, scale=True), v2.Normalize(MEAN, STD)]
    training = [v2.RandomResizedCrop(crop, antialias=True), v2.RandomHorizontalFlip(), v2.TrivialAugmentWide(), *last,
                v2.RandomErasing(SETTINGS["random_erase"])]  # fmt: skip
    scored = [v2.Resize(round(size * 232 / 224), antialias=True), v2.CenterCrop(size), *last]
    return v2.Compose(training), v2.Compose(scored)


def optimised(network: nn.Module, epochs: int) -> tuple[torch.optim.SGD, torch.optim.lr_scheduler.SequentialLR]:
    """Return the optimizer, without decay of the norms' parameters, and its schedule by epoch."""
    norms = [p for m in network.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()]
    known = {id(p) for p in norms}
    others = [p for p in network.parameters() if id(p) not in known]
    groups = [{"params": others, "weight_decay": SETTINGS["weight_decay"]},
              {"params": norms, "weight_decay": SETTINGS["norm_weight_decay"]}]  # fmt: skip
    optimizer = torch.optim.SGD(groups, lr=SETTINGS["learning_rate"], momentum=SETTINGS["momentum"])
    warm = SETTINGS["warmup_epochs"]
    first = torch.optim.lr_scheduler.LinearLR(optimizer, start_factor=0.01, total_iters=warm)
    then = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs - warm)
    return optimizer, torch.optim.lr_scheduler.SequentialLR(optimizer, [first, then], milestones=[warm])


def averaged(network: nn.Module, epochs: int, batch_size: int) -> torch.optim.swa_utils.AveragedModel:
    """Return the moving average of a network, buffers too, its decay adjusted as train.py does."""
    alpha = min(1.0, (1.0 - 0.99998) * batch_size * 32 / epochs)
    keep = torch.optim.swa_utils.get_ema_multi_avg_fn(1.0 - alpha)
    return torch.optim.swa_utils.AveragedModel(network, multi_avg_fn=keep, use_buffers=True)
