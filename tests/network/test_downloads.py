import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from pipeline.common.errors import UserError
from pipeline.config.backbone_table import resolve
from pipeline.network.downloads import described, downloaded

CONTENT = b"weights" * 1000
HASH = hashlib.sha256(CONTENT).hexdigest()[:8]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    """Return the address of a server on this machine, and the folder that it serves; torch's cache is empty."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    folder = tmp_path / "served"
    folder.mkdir()
    running = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder))
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_port}", folder
    running.shutdown()
    running.server_close()


def test_a_download_is_checked_and_kept(server, tmp_path):
    address, folder = server
    (folder / f"net-{HASH}.pth").write_bytes(CONTENT)
    file, note = downloaded("net", f"{address}/net-{HASH}.pth")
    assert file == tmp_path / "torch" / "hub" / "checkpoints" / f"net-{HASH}.pth"
    assert (file.read_bytes(), note) == (CONTENT, "")
    (folder / f"net-{HASH}.pth").unlink()
    assert downloaded("net", f"{address}/net-{HASH}.pth") == (file, "")


def test_a_download_of_another_hash_is_refused_and_not_kept(server, tmp_path):
    address, folder = server
    (folder / "net-0123abcd.pth").write_bytes(CONTENT)
    with pytest.raises(UserError, match=r'invalid hash value \(expected "0123abcd"'):
        downloaded("net", f"{address}/net-0123abcd.pth")
    assert [*(tmp_path / "torch" / "hub" / "checkpoints").iterdir()] == []


def test_a_file_that_was_there_is_taken_and_a_hash_that_is_another_is_reported(server, tmp_path):
    file = tmp_path / "torch" / "hub" / "checkpoints" / "net-0123abcd.pth"
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT)
    found, note = downloaded("net", "http://127.0.0.1:9/net-0123abcd.pth")
    assert found == file
    assert note == f"net-0123abcd.pth was cached already; its sha256 {HASH} is not the 0123abcd in its name"


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/net-0123abcd.pth", "{}/net-0123abcd.pth"])  # nobody; and a 404
def test_without_the_file_it_is_said_how_to_bring_it(server, tmp_path, url):
    with pytest.raises(UserError) as caught:
        downloaded("torchvision/net", url.format(server[0]))
    for words in ("torchvision/net: its weights could not be downloaded", f"from      {url.format(server[0])}",
                  "as        net-0123abcd.pth", f"in folder {tmp_path / 'torch' / 'hub' / 'checkpoints'}",
                  "weights: random"):  # fmt: skip
        assert words in str(caught.value)


def test_libraries_tell_what_their_weights_have_seen():
    found = described(resolve("torchvision/efficientnet_b1@IMAGENET1K_V2"))
    assert (found.size, found.interpolation, found.origin) == (240, "bilinear", "torchvision:IMAGENET1K_V2")
    assert described(resolve("torchvision/resnet50")).origin == "torchvision:IMAGENET1K_V2"
    found = described(resolve("timm/vit_tiny_patch16_224"))
    assert found.architecture == "vit_tiny_patch16_224.augreg_in21k_ft_in1k"
    assert (found.size, found.interpolation, found.mean) == (224, "bicubic", (0.5, 0.5, 0.5))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("torchvision/resnet5", r"torchvision has no network 'resnet5'; did you mean .*resnet50"),
        (
            "torchvision/resnet50@V7",
            r"torchvision/resnet50 has no weights 'V7'; there are IMAGENET1K_V1, IMAGENET1K_V2",
        ),
        ("timm/resnt18", r"timm has no network 'resnt18'; did you mean resnet18"),
        ("timm/resnet18.x", r"timm/resnet18 has no weights 'x'; there are a1_in1k"),
    ],
)
def test_a_network_or_weights_that_a_library_lacks_are_refused_with_those_it_has(name, said):
    with pytest.raises(UserError, match=said):
        described(resolve(name))
