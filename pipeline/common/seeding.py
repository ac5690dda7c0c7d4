"""Seeds that depend on what they are for, never on what ran before."""

import hashlib


def derive(*parts: int | str) -> int:
    """Return a seed in [0, 2**31) that is a fixed function of the parts."""
    text = "/".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "big") >> 1
