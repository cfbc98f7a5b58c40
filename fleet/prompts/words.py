"""Words that are one token each in nearly every vocabulary, and nonces made of them."""

from __future__ import annotations

import hashlib

WORDS = (
    "the of and to in is that it was for on are as with his they at be this have from or one had "
    "by word but not what all were we when your can said there use each which she do how their if "
    "will up other about out many then them these so some her would make like him into time has"
).split()

NONCE_WORDS = 8


def nonce(*parts: str | int) -> str:
    """Return eight words made from the parts: equal on every machine, new for each request."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return "".join(" " + WORDS[byte % len(WORDS)] for byte in digest[:NONCE_WORDS])
