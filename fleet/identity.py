"""Ids: tagged hashes of canonical content; a name is only a label."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping

ID_HEX_DIGITS = 20


def canonical_json(value: object) -> str:
    """Return one text per value: sorted keys, no spaces, no NaN, integral floats as integers."""
    return json.dumps(
        _plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )


def content_id(tag: str, value: object) -> str:
    """Return `tag-` and 20 hex digits of the SHA-256 over the tag and the canonical content."""
    digest = hashlib.sha256(f"fleet-{tag}-v1\n{canonical_json(value)}".encode())
    return f"{tag}-{digest.hexdigest()[:ID_HEX_DIGITS]}"


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise TypeError(f"{type(value).__name__} has no canonical form")
