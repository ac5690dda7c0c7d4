"""Features of several stages: where a backbone is tapped, and how what was pooled travels on to the head.

The farther the images from the source's, the more the early stages know of them (Evci et al. 2022, arXiv 2201.03529).
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from pipeline.inference.network import Tap, pooled


def find_taps(backbone: nn.Module, stages: Sequence[nn.Module], size: int) -> list[Tap]:
    """Return a tap at the end of each stage but the last, of a backbone on the meta device.

    A tap is a module that runs once and returns just what the stage returns, so that the network can be tapped where
    it is served, as a whole. Return none unless every stage has one.
    """
    names = {module: name for name, module in backbone.named_modules() if name}
    calls: list[tuple[nn.Module, Tensor]] = []
    hooks = [module.register_forward_hook(lambda m, _, out: calls.append((m, out))) for module in names]
    found: list[Tap] = []
    with torch.no_grad():
        x = torch.empty(2, 3, size, size, device="meta")
        backbone(x)
        whole, ends = list(calls), []
        calls.clear()
        for stage in stages[:-1]:
            x = stage(x)
            ends.append(
                (x, [(m, sum(m is other for other, _ in calls[:k])) for k, (m, out) in enumerate(calls) if out is x])
            )
    for hook in hooks:
        hook.remove()
    for out, returned in ends:
        name = _outermost(whole, returned, names)
        axis = _channel_axis(out)
        if name is None or axis is None:
            return []
        found.append(Tap(name, out.shape[axis], axis))
    return found


def _outermost(
    whole: Sequence[tuple[nn.Module, Tensor]], returned: Sequence[tuple[nn.Module, int]], names: dict[nn.Module, str]
) -> str | None:
    """Return the outermost module that runs once in the whole network, and returns what these calls return."""
    outs = {}
    for module, number in returned:
        runs = [out for m, out in whole if m is module]
        if number < len(runs):
            outs[id(runs[number])] = runs[number]
    once = [names[m] for m, out in whole if id(out) in outs and sum(m is other for other, _ in whole) == 1]
    return once[-1] if once else None  # modules end from the inside out


def _channel_axis(x: Tensor) -> int | None:
    if x.ndim == 4:
        return -1 if x.shape[1] == x.shape[2] != x.shape[3] else 1
    return -1 if x.ndim == 3 else None


def carrying(stages: Sequence[nn.Module], taps: Sequence[Tap]) -> list[nn.Module]:
    """Return the stages of a tapped backbone, each carrying on what was pooled before it; the last returns it all."""
    return [Carry(stage, taps[:at], taps[at] if at < len(taps) else None) for at, stage in enumerate(stages)]


class Carry(nn.Module):
    """A stage whose maps have a few more channels: the pooled outputs of the stages before, filled up with zeros.

    So a network that is cut anywhere still passes a single tensor on, which can be stored.
    """

    def __init__(self, stage: nn.Module, before: Sequence[Tap], tap: Tap | None) -> None:
        """Wrap a stage between its taps; the last stage has none behind it."""
        super().__init__()
        self.stage, self.tap = stage, tap
        self.axis = before[-1].axis if before else 1
        self.width = sum(2 * each.channels for each in before)

    def extra_repr(self) -> str:
        """Show what is carried."""
        return f"{self.width}, {self.tap}"

    def with_own(self, x: Tensor, change: Callable[[Tensor], Tensor]) -> Tensor:
        """Change the maps that the stage is given, and not what they carry; their shape must stay."""
        own, carried = _unpacked(x, self.width, self.axis)
        return _packed(change(own), carried, self.axis)

    def forward(self, x: Tensor) -> Tensor:
        """Return maps or tokens with what was pooled so far, or features (N, D) at the end."""
        x, carried = _unpacked(x, self.width, self.axis) if self.width else (x, None)
        x = self.stage(x)
        if self.tap is None:
            return x if carried is None else torch.cat([carried, x], 1)
        new = pooled(x, self.tap.axis)
        return _packed(x, new if carried is None else torch.cat([carried, new], 1), self.tap.axis)


def _packed(x: Tensor, carried: Tensor, axis: int) -> Tensor:
    """Append carried values (N, P) to the channels of x."""
    positions = x.shape[2:] if axis == 1 else x.shape[1:-1]
    channels = -(-carried.shape[1] // positions.numel())
    filled = nn.functional.pad(carried, (0, channels * positions.numel() - carried.shape[1]))
    extra = filled.unflatten(1, (channels, *positions))
    return torch.cat([x, extra if axis == 1 else extra.movedim(1, -1)], axis)


def _unpacked(x: Tensor, width: int, axis: int) -> tuple[Tensor, Tensor]:
    """Part x into its own channels and the `width` values carried: what `_packed` put together."""
    positions = x.shape[2:] if axis == 1 else x.shape[1:-1]
    channels = -(-width // positions.numel())
    own, extra = x.split([x.shape[axis] - channels, channels], axis)
    return own, (extra if axis == 1 else extra.movedim(-1, 1)).flatten(1)[:, :width]
