import platform
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pipeline.network.devices import AT_ONCE, LARGEST, fits, images_at_once, on_device, running, visible_gpus
from tests.support.imports import ROOT

CPU = torch.device("cpu")


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bf16", torch.bfloat16)])
def test_products_run_at_the_precision_and_parameters_keep_theirs(precision, dtype):
    layer = nn.Linear(3, 2)
    with running(CPU, precision):
        out = layer(torch.rand(4, 3))
    out.float().sum().backward()
    assert out.dtype == dtype
    assert layer.weight.dtype == layer.weight.grad.dtype == torch.float32


@pytest.mark.parametrize("shape", [(2, 3, 5, 5), (2, 3)])
def test_what_is_on_the_cpu_stays_as_it_is(shape):
    x = torch.rand(shape)
    assert on_device(x, CPU) is x


def test_nothing_is_copied_to_a_device_that_gains_nothing_by_it():
    assert not fits(1, CPU)


def test_memory_that_is_kept_is_used_again_and_changes_no_number():
    script = """
import resource, sys, torch
from pipeline.network.devices import keep_memory
if sys.argv[1] == "keep":
    keep_memory()
torch.manual_seed(0)
x, total = torch.randn(1 << 24), 0.0
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    return float(((x * 2).exp() + x).sum())
first = [step() for _ in range(3)]
before = faults()
last = [step() for _ in range(5)]
print(faults() - before, first + last)
"""
    found = {}
    for way in ("keep", "leave"):
        done = subprocess.run([sys.executable, "-c", script, way], capture_output=True, text=True, check=True, cwd=ROOT)
        found[way] = done.stdout.split(" ", 1)
    assert found["keep"][1] == found["leave"][1]
    if platform.libc_ver()[0] == "glibc":
        assert 4 * int(found["keep"][0]) < int(found["leave"][0])


@given(st.integers(1, 600), st.integers(1, 4096))
def test_so_many_images_are_run_at_once_that_no_map_is_too_large(channels, side):
    wide = nn.Sequential(nn.Conv2d(3, channels, 1, device="meta"), nn.AdaptiveAvgPool2d(1))
    count, largest = images_at_once(wide, torch.empty(1, 3, side, side, device="meta")), 4 * channels * side**2
    assert AT_ONCE % count == 0
    assert count == 1 or count * max(largest, 12 * side**2) <= LARGEST["cpu"]
    assert count == AT_ONCE or 2 * count * max(largest, 12 * side**2) > LARGEST["cpu"]


def test_finding_how_many_are_run_at_once_leaves_no_trace():
    block, x = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5)).eval(), torch.rand(1, 3, 8, 8)
    before, state = {name: tensor.clone() for name, tensor in block.state_dict().items()}, torch.get_rng_state()
    assert images_at_once(block, x) == AT_ONCE
    assert all(torch.equal(block.state_dict()[name], tensor) for name, tensor in before.items())
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(("said", "count", "names"), [
    (None, 2, ["0", "1"]), ("", 0, []), ("4,6", 2, ["4", "6"]), ("GPU-a, GPU-b", 2, ["GPU-a", "GPU-b"]),
    ("0,1,9", 2, ["0", "1"]),  # CUDA sees none from the first on that is not there
])  # fmt: skip
def test_gpus_are_named_as_they_were_given(said, count, names, monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if said is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", said)
    assert visible_gpus() == names
