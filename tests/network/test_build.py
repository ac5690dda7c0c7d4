import pytest
import torch

from pipeline.common.errors import UserError
from pipeline.inference.classifier import Classifier
from pipeline.inference.network import Network
from pipeline.network.build import build, save_model
from tests.support.networks import every_backbone, images, recipe, spec


def test_an_image_size_that_does_not_fit_is_refused_before_the_network_is_built(image_set):
    with pytest.raises(UserError, match=r"^image_size: .*torchvision/alexnet.* 32 pixels .*work: 64, 75$"):
        build(recipe("torchvision/alexnet"), image_set, 1)


@pytest.mark.parametrize("head", ["linear", "mlp"])
@every_backbone
def test_a_saved_network_is_rebuilt_from_its_spec_with_the_same_outputs(backbone, head, tmp_path):
    made = spec(backbone, head=head, dropout=0.5)
    network = Network(made)
    network.head[0].measure(torch.rand(5, network.features))
    network.train()(images().float())  # which moves BatchNorm's statistics
    save_model(network, made, tmp_path)
    rebuilt = Classifier(tmp_path).network
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.json", "model.safetensors"]
    with torch.inference_mode():
        assert torch.equal(rebuilt(images()), network.eval()(images()))


@every_backbone
def test_grey_images_and_their_rgb_copies_look_alike_to_a_network(backbone, image_set):
    network = build(recipe(backbone), image_set, 1).eval()
    with torch.inference_mode():
        torch.testing.assert_close(network(images()), network(images().expand(-1, 3, -1, -1)))
