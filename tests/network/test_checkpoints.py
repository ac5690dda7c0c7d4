import pytest
import torch
from safetensors.torch import save_file

from pipeline.common.errors import UserError
from pipeline.network.checkpoints import fit, read

OWN = {"conv.weight": torch.zeros(2, 3), "bn.num_batches_tracked": torch.zeros((), dtype=torch.long)}
FILE = {"conv.weight": torch.ones(2, 3), "fc.weight": torch.ones(7, 2), "fc.bias": torch.ones(7)}


def wrapped(kind):
    prefixed = {f"module.{name}": tensor for name, tensor in FILE.items()}
    return {"plain": FILE, "state_dict": {"state_dict": FILE, "epoch": 3}, "model": {"model": prefixed},
            "model_state_dict": {"model_state_dict": FILE}, "module": prefixed}[kind]  # fmt: skip


@pytest.mark.parametrize("kind", ["plain", "state_dict", "model", "model_state_dict", "module"])
@pytest.mark.parametrize("ending", ["pt", "pth"])
def test_a_state_dict_is_found_however_it_is_wrapped(tmp_path, kind, ending):
    path = tmp_path / f"a.{ending}"
    torch.save(wrapped(kind), path)
    assert read(path, "").keys() == FILE.keys()


def test_safetensors_are_read(tmp_path):
    save_file(FILE, tmp_path / "a.safetensors")
    assert torch.equal(read(tmp_path / "a.safetensors", "")["fc.bias"], FILE["fc.bias"])


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_a_file_that_is_none_is_named_with_what_to_do(tmp_path, ending):
    path = tmp_path / f"a.{ending}"
    with pytest.raises(UserError, match=rf"a\.{ending}: no such file; do this"):
        read(path, "do this")
    path.write_bytes(b"<html>")
    with pytest.raises(UserError, match=rf"a\.{ending}: not a readable weights file .*; do this"):
        read(path, "do this")


def test_the_classifier_of_the_source_is_left_out_and_reported():
    fitted = fit("a.pt", FILE, OWN, {"fc"}, "net")
    assert fitted.dropped == ("fc.weight", "fc.bias")
    assert {name: tensor.sum().item() for name, tensor in fitted.tensors.items()} == {
        "conv.weight": 6, "bn.num_batches_tracked": 0
    }  # fmt: skip
    assert fit("a.pt", {"conv.weight": FILE["conv.weight"]}, OWN, {"fc"}, "net").dropped == ()


def test_of_a_model_of_ours_the_backbone_is_taken():
    ours = {"preprocess.mean": torch.ones(1), "backbone.conv.weight": torch.ones(2, 3), "head.2.weight": torch.ones(2)}
    fitted = fit("a.safetensors", ours, OWN, {"fc"}, "net")
    assert fitted.tensors["conv.weight"].sum() == 6
    assert fitted.dropped == ("preprocess.mean", "head.2.weight")


def test_what_does_not_fit_is_listed_ten_of_a_kind():
    own = {f"layer{i}.weight": torch.zeros(1) for i in range(12)} | {"conv.weight": torch.zeros(9)}
    with pytest.raises(UserError) as caught:
        fit("a.pt", {**FILE, "extra.weight": torch.zeros(1)}, own, {"fc"}, "net")
    said = str(caught.value)
    assert "a.pt: does not fit net" in said
    assert "missing: layer0.weight" in said
    assert "layer9.weight and 2 more" in said
    assert "unexpected: extra.weight" in said
    assert "conv.weight (2, 3) for (9,)" in said
    assert "fc" not in said
