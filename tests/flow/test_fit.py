"""fleet fit and fleet advise as people type them: tables, JSON, exit codes, bad words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.builders_advisor import dense_tensors, gguf_bytes, info, write_gguf
from tests.builders_flow import Fleet

COLUMNS = 80
STUDIO = ("--on", "M3 Ultra 96 GB")


def test_the_question_of_the_96_gb_mac(fleet: Fleet) -> None:
    text = fleet("fit", "gpt-oss:120b", *STUDIO, "--chart").out
    assert all(len(line) <= COLUMNS for line in text.splitlines())
    rows = [line.split() for line in text.splitlines() if re.match(r"\s+\d+\s+59\.8", line)]
    assert [row[0] for row in rows] == ["8192", "32768", "131072"]
    assert all(line.count("fits +") == 2 for line in text.splitlines() if "59.8" in line)
    assert "GPU limit, macOS 15 and earlier: 73728 MiB" in text
    assert "GPU limit, macOS 26: 79626 MiB" in text
    plain = " ".join(text.split())
    assert "iogpu.wired_limit_mb=81920 adds 8.0 GiB under macOS 15" in plain
    assert "adds 2.2 GiB under macOS 26" in plain
    assert "changes nothing here: the model fits by default" in plain
    assert "need against context" in text


def test_the_same_as_data(fleet: Fleet) -> None:
    (report,) = fleet("fit", "gpt-oss:120b", *STUDIO, "--context", "32k", "--json").json()
    (line,) = report["contexts"]
    assert line["context"] == 32768
    assert [v["verdict"] for v in line["verdicts"]] == ["fits", "fits"]
    assert report["decode"]["value"] == pytest.approx(69, rel=0.05)
    assert report["decode"]["low"] < 69 < report["decode"]["high"] < report["decode"]["ceiling"]
    certainties = {line["parts"][part]["certainty"] for part in ("KV cache", "compute buffer")}
    assert certainties == {"reported", "modelled"}
    assert report["largest_context"] == {"macOS 15 and earlier": 131072, "macOS 26": 131072}


def test_of_a_file_only_the_head_is_read(fleet: Fleet, tmp_path: Path) -> None:
    metadata = info("llama", block_count=2, embedding_length=64, head_count=4, head_count_kv=1)
    path = write_gguf(tmp_path / "own.gguf", metadata, dense_tensors(2))
    words = ("--limit-mib", "8000", "--ram-gb", "16", "--bandwidth", "100", "--context", "4k")
    (report,) = fleet("fit", str(path), *words, "--json").json()
    parts = report["contexts"][0]["parts"]
    assert parts["weights"]["certainty"] == parts["KV cache"]["certainty"] == "exact"
    assert parts["KV cache"]["value"] == 2 * 2 * 16 * 4096 * 2
    (tmp_path / "cut.gguf").write_bytes(gguf_bytes(metadata, dense_tensors(2))[:-9])
    assert "cut off" in fleet("fit", str(tmp_path / "cut.gguf"), code=2).err


def test_what_fits_nowhere_is_an_exit_code(fleet: Fleet) -> None:
    done = fleet("fit", "llama3.3:70b", "--on", "RTX 4090", "--context", "8k", code=1)
    assert "39 of 80 layers end on the CPU" in done.out
    assert "tokens/s" in done.out
    fleet("fit", "llama3.3:70b", "--on", "2x RTX 3090", "--context", "2k")


def test_many_cells_are_one_table(fleet: Fleet) -> None:
    machines = ("--on", "RTX 4090", "--on", "M4 Max 128 GB")
    text = fleet("fit", "gpt-oss:20b", "gemma3:27b", *machines, "--context", "32k").out
    assert all(len(line) <= COLUMNS for line in text.splitlines())
    assert len([line for line in text.splitlines() if " 32768 " in line]) == 4


def test_without_a_machine_only_the_need_is_told(fleet: Fleet) -> None:
    text = fleet("fit", "gpt-oss:120b").out
    assert "tokens/s" not in text
    assert "macOS" not in text
    assert "60.3" in text


def test_mlx_refuses_and_says_so(fleet: Fleet) -> None:
    done = fleet("fit", "qwen3.6:35b-a3b-mxfp8", "--on", "M4 Pro 24 GB", code=1)
    assert "Ollama refuses to load it" in done.out


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (("gpt-os:120b",), "did you mean gpt-oss:120b"),
        (("gpt-oss:120b", "--on", "M3 Ultra 128 GB"), "96, 256 or 512"),
        (("gpt-oss:120b", "--on", "abacus"), "not in the catalogue of machines"),
        (("gpt-oss:120b", *STUDIO, "--context", "many"), "is not a number of tokens"),
        (("gpt-oss:120b", *STUDIO, "--context", "0"), "cannot be had"),
        (("gpt-oss:120b", *STUDIO, "--kv", "q9"), "no type of cache"),
        (("gpt-oss:120b", *STUDIO, "--flash", "maybe"), "on, off or unknown"),
        (("gpt-oss:120b", "--bandwidth", "400"), "how much memory"),
        (("gpt-oss:120b", "--ram-gb", "-1"), "is not possible"),
        (("./absent.gguf",), "no such file"),
        (("gpt-oss:120b", "--machine", "nobody"), "results"),
        ((), "name at least one model"),
    ],
)  # fmt: skip
def test_wrong_words_have_one_message(fleet: Fleet, words: tuple[str, ...], what: str) -> None:
    assert what in fleet("fit", *words, code=2).err


def test_the_catalogues_are_listed(fleet: Fleet) -> None:
    assert len(fleet("fit", "--models").out.splitlines()) > 60
    assert "M3 Ultra 60-core" in fleet("fit", "--machines").out
    assert len(fleet("fit", "--models", "--json").json()) > 60


def test_which_machine_runs_it_at_40_tokens_per_second(fleet: Fleet) -> None:
    question = ("--model", "gpt-oss:120b", "--context", "32k", "--decode", "40")
    prices = ("--price", "M3 Ultra 96 GB=4500", "--api-price", "0.5")
    text = fleet("advise", *question, *prices).out
    assert all(len(line) <= COLUMNS for line in text.splitlines())
    first = next(line for line in text.splitlines() if "M3 Ultra 60-core 96 GB" in line)
    assert re.search(r"yes\s+fits", first)
    assert re.search(r"4500\s+\d+ days", first)
    answers = {
        entry["machine"]: entry["answer"] for entry in fleet("advise", *question, "--json").json()
    }
    assert answers["M3 Ultra 60-core 96 GB"] == "yes"
    impossible = ("--model", "llama3.1:405b", "--context", "128k", "--decode", "400")
    assert "no machine" in fleet("advise", *impossible, code=1).out
    for wrong in (("--decode", "-1"), ("--price", "abacus=3"), ("--price", "M3 Ultra 96 GB")):
        fleet("advise", *question, *wrong, code=2)


def test_a_machine_of_the_store(measured: Fleet) -> None:
    text = measured("fit", "gpt-oss:20b", "--machine", "alpha").out
    assert "on alpha, M3 Ultra" in text
    assert "did you mean alpha" in measured("fit", "gpt-oss:20b", "--machine", "alpah", code=2).err
    question = ("--model", "gpt-oss:120b", "--decode", "40")
    better = measured("advise", *question, "--from", "alpha", "--json").json()
    assert all(candidate["times"] > 0 for candidate in better)
    assert "times: against alpha" in measured("advise", *question, "--from", "alpha").out
