"""OLLAMA_HOST in every form that Ollama itself reads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.engines.ollama import address
from fleet.errors import UserError
from fleet.model.experiment import OllamaEngine


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
        ("' 10.0.0.1 '", "http://10.0.0.1:11434"),
        ("0.0.0.0:", "http://127.0.0.1:11434"),
        ("http://studio:", "http://studio:80"),
        ("studio/", "http://studio:11434"),
        ("fe80::1%eth0", "http://[fe80::1%eth0]:11434"),
        ("[fe80::1%eth0]:9000", "http://[fe80::1%eth0]:9000"),
        ("[fe80::1%25eth0]:9000", "http://[fe80::1%eth0]:9000"),
        ("http://[fe80::1%252]", "http://[fe80::1%2]:80"),
        ("[::1%25]", "http://[::1%25]:11434"),
    ],
)
def test_every_form(text: str, url: str) -> None:
    assert address(text, {}) == url
    assert address(None, {"OLLAMA_HOST": text}) == url


def test_what_the_file_says_wins_over_the_environment() -> None:
    assert address("studio", {"OLLAMA_HOST": "elsewhere"}) == "http://studio:11434"


@pytest.mark.parametrize(
    "text",
    [
        *("studio:port", "studio:0", "studio:70000", "studio:+80", "studio:\u0665", "ftp://studio"),
        *("a:b:1", "[a]:1", "[::1", "[::1]x", "[::1]:1:2", "fe80::1%", "*:11434"),
        *("host name", "\u200b127.0.0.1", "studio\n", "studio?x=1", "studio#x"),
        *("studio:11434#x", "studio/a b", "studio/?q", "127.0.0.1:11434,::1", "studio:" + "9" * 99),
    ],
)
def test_what_is_no_address_is_the_users_mistake(text: str) -> None:
    text = text if text != "studio\n" else "studio\nother"
    with pytest.raises(UserError, match="host:port") as caught:
        address(text, {})
    assert caught.value.what.startswith("engine.host is no address of an Ollama: it ")
    with pytest.raises(UserError, match=r"^OLLAMA_HOST is no address"):
        address(None, {"OLLAMA_HOST": text})


SECRET = "s3cr3t"
PLACES = ("", "http://", "https://", "ftp://", "user:", ":", "@", "h:", "[", "::", "//", "?k=", "#")


@given(st.sampled_from(PLACES), st.sampled_from(PLACES), st.sampled_from(("", "@h", "@h:1", ":1")))
def test_a_message_never_repeats_what_may_be_a_password(a: str, b: str, end: str) -> None:
    assert SECRET not in complaint_of(f"{a}{b}{SECRET}{end}")


def complaint_of(text: str) -> str:
    """Empty for an address; its word may then be a host or a path."""
    try:
        return "" if address(None, {"OLLAMA_HOST": text}) else "no address"
    except UserError as problem:
        return str(problem)


def test_an_experiment_holds_no_password() -> None:
    with pytest.raises(ValueError, match="leave it out"):
        OllamaEngine(kind="ollama", host="http://user:pw@studio:1")
