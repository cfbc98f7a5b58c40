"""OLLAMA_HOST in every form that Ollama itself reads."""

from __future__ import annotations

import pytest

from fleet.engines.ollama import address
from fleet.errors import UserError


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("studio", "http://studio:11434"),
        ("studio:9000", "http://studio:9000"),
        (":9000", "http://127.0.0.1:9000"),
        ("http://studio", "http://studio:80"),
        ("https://studio", "https://studio:443"),
        ("HTTPS://studio:8443", "https://studio:8443"),
        ("https://studio/ollama/", "https://studio:443/ollama"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("0.0.0.0:9000", "http://127.0.0.1:9000"),
        ("http://0.0.0.0:9000", "http://127.0.0.1:9000"),
        ("::", "http://[::1]:11434"),
        ("[::]:9000", "http://[::1]:9000"),
        ("::1", "http://[::1]:11434"),
        ("[::1]", "http://[::1]:11434"),
        ("fd00::7", "http://[fd00::7]:11434"),
        ("http://[fd00::7]:9000", "http://[fd00::7]:9000"),
        ("192.168.1.9:11434", "http://192.168.1.9:11434"),
        ("  '10.0.0.1:9000' ", "http://10.0.0.1:9000"),
    ],
)
def test_every_form(text: str, url: str) -> None:
    assert address(text, {}) == url
    assert address(None, {"OLLAMA_HOST": text}) == url


def test_what_the_file_says_wins_over_the_environment() -> None:
    assert address("studio", {"OLLAMA_HOST": "elsewhere"}) == "http://studio:11434"


@pytest.mark.parametrize(
    "text", ["studio:port", "studio:0", "studio:70000", "ftp://studio", "a:b:1"]
)
def test_what_is_no_address_is_the_users_mistake(text: str) -> None:
    with pytest.raises(UserError, match="host:port"):
        address(text, {})
