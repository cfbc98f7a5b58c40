"""One test for each kind of mistake, with its exact place and words."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fleet.config.reading import load_request
from fleet.errors import ConfigError, Mistake

HEAD = "version: 1\nname: x\nmodels: [m]\njobs: [gold]\n"
"""Four good lines; what a test adds begins in line 5."""

UTF_16 = "is UTF-16 text, as PowerShell and Notepad write it: save it as UTF-8"

SCRIPT = "engine:\n  kind: simulated\n  machines:\n    studio: {memory_gb: 96, gpu_memory_mb: 9}\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "configs").mkdir()
    (tmp_path / "jobs").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines_of(text: str | bytes, path: str = "configs/x.yaml") -> list[str]:
    """What is said about an experiment file, without the path that every line begins with."""
    Path(path).write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ConfigError) as caught:
        load_request(Path(path))
    assert all(str(one).startswith(f"{path}:") for one in caught.value.mistakes)
    return [str(one).removeprefix(f"{path}:") for one in caught.value.mistakes]


@pytest.mark.parametrize(
    ("added", "said"),
    [
        ("modles: [x]\n", "5:1: modles: unknown key (did you mean models?)"),
        (
            "settings:\n  wired_limit: 4\n",
            "6:3: settings.wired_limit: unknown setting (did you mean wired_limit_mb?)",
        ),
        ("num_ctx: 8192\n", "5:1: num_ctx: unknown key (it belongs under settings)"),
        (
            "repeats: {least: 5, zzz: 1}\n",
            "5:21: repeats.zzz: unknown key (there are least, most, half_width_percent)",
        ),
        (
            SCRIPT.replace("studio: {", "studio: {chip: c, models: {m: {decode: 1}}, ").replace(
                "decode: 1", "prefill_tokens_per_s: 1, decode_tokens_per_s: 1, load: 1"
            ),
            "8:85: engine.machines.studio.models.m.load: unknown key (did you mean load_s?)",
        ),
        ("why: 4\n", '5:6: why: must be text, not 4 (write "4")'),
        ("why: 3.10\n", '5:6: why: must be text, not 3.10 (write "3.10")'),
        ("why: 0x10\n", '5:6: why: must be text, not 0x10 (write "0x10")'),
        ("why: 1e3\n", '5:6: why: must be text, not 1e3 (write "1e3")'),
        ("why: 010\n", '5:6: why: must be text, not 010 (write "010")'),
        ("why: 1_000\n", '5:6: why: must be text, not 1_000 (write "1_000")'),
        ("why: True\n", '5:6: why: must be text, not True (write "True")'),
        ("seed: 1.50\n", "5:7: seed: must be a whole number, not 1.50"),
        ("seed: 12:30\n", "5:7: seed: must be a whole number, not '12:30'"),
        ("seed: 2026-10-01\n", "5:7: seed: must be a whole number, not '2026-10-01'"),
        ("settings: {num_ctx: 0x10}\n", "5:21: settings.num_ctx: must be at least 256, not 0x10"),
        ("repeats: 0x7d0\n", "5:10: repeats: must be 1 to 1000, not 0x7d0"),
        ("seed: 1.5\n", "5:7: seed: must be a whole number, not 1.5"),
        ("seed: -1\n", "5:7: seed: must be at least 0, not -1"),
        ("seed: .inf\n", "5:7: seed: must be a whole number, not '.inf'"),
        (
            "settings: {temperature: .inf}\n",
            "5:25: settings.temperature: must be a number or a list, not '.inf'",
        ),
        ("settings:\n", "5:1: settings: is empty: must be a mapping"),
        (
            "settings: {num_ctx: big}\n",
            "5:21: settings.num_ctx: must be a whole number or a list, not 'big'",
        ),
        (
            'settings: {num_ctx: "8192"}\n',
            "5:21: settings.num_ctx: must be a whole number or a list, not '8192'"
            " (without the quotes)",
        ),
        ("settings: {num_ctx: 100}\n", "5:21: settings.num_ctx: must be at least 256, not 100"),
        (
            "settings: {num_ctx: [8192, 1000]}\n",
            "5:28: settings.num_ctx: must be a multiple of 256: engines round it up silently",
        ),
        (
            "settings: {num_batch: [8, 8]}\n",
            "5:23: settings.num_batch: a list needs at least one value, each only once",
        ),
        (
            "settings: {num_gpu: true}\n",
            "5:21: settings.num_gpu: must be a whole number or a list, not true",
        ),
        (
            "settings: {wired_limit_mb: [defalt]}\n",
            "5:29: settings.wired_limit_mb: must be default or a whole number, not 'defalt'"
            " (did you mean default?)",
        ),
        ("repeats: x\n", "5:10: repeats: must be a whole number or a mapping, not 'x'"),
        ("repeats: 0\n", "5:10: repeats: must be 1 to 1000, not 0"),
        ("repeats: {least: 20}\n", "5:10: repeats: least (20) is more than most (12)"),
        ("repeats: {least: 0}\n", "5:18: repeats.least: must be at least 1, not 0"),
        (
            "repeats: {half_width_percent: 0}\n",
            "5:31: repeats.half_width_percent: must be more than 0, not 0",
        ),
        ("machines: 5\n", "5:11: machines: must be all, a list or a mapping, not 5"),
        (
            "machines: studio\n",
            "5:11: machines: must be all, a list or a mapping, not 'studio' (write [studio])",
        ),
        (
            "machines: al\n",
            "5:11: machines: must be all, a list or a mapping, not 'al' (did you mean all?)",
        ),
        ("machines: []\n", "5:11: machines: names no machine: write all, names, or clauses"),
        (
            'machines: {memory_gb: ">>96"}\n',
            "5:23: machines.memory_gb: '>>96' is no comparison like >=96, <64 or 128",
        ),
        (
            "machines: {memory_gb: [96]}\n",
            "5:23: machines.memory_gb: must be text or a whole number, not a list",
        ),
        (
            "machines: {os: darwn}\n",
            "5:16: machines.os: must be darwin or linux, not 'darwn' (did you mean darwin?)",
        ),
        (
            "engine: {kind: olama}\n",
            "5:16: engine.kind: unknown engine 'olama' (did you mean ollama?)",
        ),
        (
            "engine: {kind: vllm}\n",
            "5:16: engine.kind: unknown engine 'vllm' (there are ollama, embedded, simulated)",
        ),
        ("engine: {}\n", "5:1: engine.kind: is missing"),
        ("engine: ollama\n", "5:9: engine: must be a mapping, not 'ollama'"),
        (
            "engine: {kind: ollama, hots: a}\n",
            "5:24: engine.hots: unknown key (did you mean host?)",
        ),
        (
            "engine: {kind: ollama, machine: a}\n",
            "5:24: engine.machine: unknown key (there are kind, host, restart)",
        ),
        (SCRIPT, "8:5: engine.machines.studio.chip: is missing"),
        ("name: y\n", "5:1: name: stands here a second time, first in line 2"),
        (
            "settings:\n  num_ctx: 256\n  num_ctx: 512\n",
            "7:3: settings.num_ctx: stands here a second time, first in line 6",
        ),
        ("why: !env HOME\n", "5:6: why: tags such as !env are not read here"),
        ("<<: {why: x}\n", "5:1: merge keys (<<) are not read here: write the keys out"),
        ("? [a]\n: b\n", "5:3: a key must be one word, not a list or a mapping"),
        ('why: "\\ud800"\n', "5:6: why: holds half a character (a lone surrogate)"),
        ("why: a: b\n", "5:7: not valid YAML: mapping values are not allowed here"),
        ("why:\n\t- x\n", "6:1: not valid YAML: a tab stands where YAML wants spaces"),
        ("---\nwhy: x\n", "5:1: not valid YAML here: a second document begins; one file holds one"),
        ("why: \x07\n", "5:6: character U+0007 cannot stand in YAML"),
        (f"why: {'[' * 60}{']' * 60}\n", "5:56: is nested more than 50 deep"),
        ("why: &a x\nname: &a y\n", "1:1: found duplicate anchor 'a'"),
        ("why: &a [*a]\n", "5:6: is nested more than 50 deep"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_its_hint(folder: Path, added: str, said: str) -> None:
    assert lines_of(HEAD + added) == [said]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "1:1: the file is empty"),
        ("# only a comment\n", "1:1: the file is empty"),
        ("\n- a\n- b\n", "2:1: must be a mapping: lines like `name: value`"),
        (b"\x89PNG\r\n\x1a\n\0\0", "1:1: is a binary file, not text"),
        (HEAD.encode("utf-16"), f"1:1: {UTF_16}"),
        (HEAD.encode("utf-16-le"), f"1:1: {UTF_16}"),
        (HEAD.encode("utf-16-be"), f"1:1: {UTF_16}"),
        (codecs.BOM_UTF16_BE + HEAD.encode("utf-16-be"), f"1:1: {UTF_16}"),
        (HEAD.encode("utf-32"), "1:1: is UTF-32 text: save it as UTF-8"),
        (b"version: 1\nwhy: caf\xe9\n", "2:9: is not UTF-8 text (byte 0xe9)"),
        (b"#" * (2**20 + 1), "1:1: is larger than 1 MiB"),
        ("[" * 1500, "1:1: is nested more than 50 deep"),
        (
            "prompt: a\npoints: []\n",
            "1:1: this is a job, not an experiment: fleet submit MODEL --job x",
        ),
    ],
)
def test_a_file_that_is_no_experiment(folder: Path, text: str | bytes, said: str) -> None:
    assert lines_of(text) == [said]


def test_a_byte_order_mark_is_no_mistake(folder: Path) -> None:
    Path("x.yaml").write_bytes(b"\xef\xbb\xbf" + HEAD.encode())
    assert load_request(Path("x.yaml")).experiment.name == "x"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            HEAD.replace("version: 1", "version: 2"),
            "1:10: version: this program reads version 1, not 2",
        ),
        (HEAD.replace("version: 1\n", ""), "1:1: version: is missing"),
        (
            HEAD.replace("name: x", "name: a b"),
            "2:7: name: must be letters, digits, dots, dashes and underscores, "
            "a letter or digit first, not 'a b'",
        ),
        (
            HEAD.replace("[m]", "gpt-oss:20b"),
            "3:9: models: must be a list or a mapping, not 'gpt-oss:20b' (write [gpt-oss:20b])",
        ),
        (HEAD.replace("[m]", "[]"), "3:9: models: needs at least one"),
        (HEAD.replace("[m]", '[" "]'), "3:10: models: a name is empty"),
        (HEAD.replace("[m]", "[3.10]"), '3:10: models: must be text, not 3.10 (write "3.10")'),
        (
            HEAD.replace("[m]", '["m "]'),
            "3:10: models: 'm ' has a space at its beginning or end",
        ),
        (
            HEAD.replace("[m]", '["m m"]'),
            "3:10: models: 'm m' has a space in it: no model is named so",
        ),
        (
            HEAD.replace("[m]", '["m\\e[31m"]'),
            "3:10: models: 'm\\x1b[31m' holds a character that cannot be printed in a line",
        ),
        (
            HEAD.replace("[m]", f"[{'m' * 300}]"),
            "3:10: models: is longer than 200 characters",
        ),
        (
            HEAD.replace("name: x", 'name: "x "'),
            "2:7: name: 'x ' has a space at its beginning or end",
        ),
        (HEAD.replace("name: x", f"name: {'x' * 300}"), "2:7: name: is longer than 100 characters"),
        (
            HEAD + 'machines: ["studio "]\n',
            "5:12: machines: 'studio ' has a space at its beginning or end",
        ),
        (HEAD.replace("[m]", "[m, m:latest]"), "3:13: models: m:latest is named twice"),
        (HEAD.replace("[gold]", "[gold, gold]"), "4:14: jobs: gold is named twice"),
        (
            HEAD.replace("[gold]", "[gold, glod]"),
            "4:14: jobs: no job named 'glod' (did you mean gold?)",
        ),
        (
            HEAD.replace("[gold]", "[jobs/gold.yaml]"),
            "4:8: jobs: no job named 'jobs/gold.yaml' (did you mean gold?)",
        ),
        (
            HEAD.replace("[gold]", "[zzzz]"),
            "4:8: jobs: no job named 'zzzz' (there are agent, bursts, chat, code, cold-load, "
            "concurrency, conversation, conversation-anew, depth, formats, gold, grid, noise, "
            "prefill-decode, prose, quickstart, regularization, side-by-side, soak, synthetic, "
            "warm-load)",
        ),
    ],
)
def test_the_keys_that_every_experiment_has(folder: Path, text: str, said: str) -> None:
    assert lines_of(text) == [said]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("configs/gptoss.yaml", "no such file (did you mean configs/gpt-oss.yaml?)"),
        ("configs", "is a folder, not a file"),
        ("x.yaml/x.yaml", "no such file (there are gpt-oss, "),
        ("a\0b", "no such file (there are gpt-oss, "),
    ],
)
def test_a_path_that_cannot_be_read(folder: Path, path: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_request(Path(path))
    assert str(caught.value).startswith(f"{path}:1:1: {said}")
    assert caught.value.exit_code == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_this_user_may_not_read(folder: Path) -> None:
    Path("x.yaml").touch(mode=0o000)
    with pytest.raises(ConfigError, match=r"^x\.yaml:1:1: this user may not read it$"):
        load_request(Path("x.yaml"))


def test_what_is_no_regular_file_is_not_opened(folder: Path) -> None:
    """A pipe that nobody writes to would block the program for ever."""
    os.mkfifo("pipe.yaml")
    Path("device.yaml").symlink_to("/dev/zero")
    for name in ("pipe.yaml", "device.yaml"):
        with pytest.raises(ConfigError, match=rf"^{name}:1:1: is not a regular file$"):
            load_request(Path(name))


@pytest.mark.parametrize("key", ["prompt_file", "prompts_file"])
@pytest.mark.parametrize("name", ["/etc/passwd", "../secret.txt", "link.txt", "folder/secret.txt"])
def test_a_job_reads_no_file_outside_its_folder(folder: Path, key: str, name: str) -> None:
    Path("secret.txt").write_text("a secret\n")
    Path("jobs/link.txt").symlink_to("../secret.txt")
    Path("jobs/folder").symlink_to("..")
    Path("jobs/mine.yaml").write_text(f"name: mine\n{key}: {name}\n")
    Path("configs/x.yaml").write_text(HEAD.replace("gold", "mine"))
    with pytest.raises(ConfigError) as caught:
        load_request(Path("configs/x.yaml"))
    message = str(caught.value)
    assert message.startswith(f"jobs/mine.yaml:2:{len(key) + 3}: {key}: ")
    assert message.endswith("lies outside the folder of the job, jobs")


@pytest.mark.parametrize("name", ["loop.txt", "pipe.txt"])
def test_a_prompt_file_that_cannot_be_read_to_its_end(folder: Path, name: str) -> None:
    Path("jobs/loop.txt").symlink_to("loop.txt")
    os.mkfifo("jobs/pipe.txt")
    Path("jobs/mine.yaml").write_text(f"name: mine\nprompt_file: {name}\n")
    Path("configs/x.yaml").write_text(HEAD.replace("gold", "mine"))
    with pytest.raises(ConfigError, match=r"^jobs/mine\.yaml:2:14: prompt_file: ") as caught:
        load_request(Path("configs/x.yaml"))
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", ["x" * 300, "a/b", "../x", '"a\\u001b[2J"', '"a\\0"'])
def test_a_name_that_no_file_can_have_is_refused_before_anything_is_planned(
    folder: Path, name: str
) -> None:
    Path("x.yaml").write_text(HEAD.replace("name: x", f"name: {name}"))
    with pytest.raises(ConfigError, match=r"^x\.yaml:\d+:\d+: name: ") as caught:
        load_request(Path("x.yaml"))
    assert "\x1b" not in str(caught.value)


def test_permission_denied_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    Path("x.yaml").write_text(HEAD)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigError, match=r"^x\.yaml:1:1: this user may not read it$"):
        load_request(Path("x.yaml"))


JOB_SAID = [
    ("name: mine\nprompt: x\nrequest: 2\n", "3:1: request: unknown key (did you mean requests?)"),
    (
        "name: mine\nprompt: x\nprompt_tokens: 512\n",
        "3:1: prompt_tokens: unknown key (it belongs under points)",
    ),
    (
        "name: mine\napi: generate\npoints:\n  - prompt_tokens: 16\n  - prompt_token: 3\n",
        "5:5: points.prompt_token: unknown key (did you mean prompt_tokens?)",
    ),
    (
        "name: mine\nprompt: x\nthink: hihg\n",
        "3:8: think: must be true, false, low, medium, high or max, not 'hihg'"
        " (did you mean high?)",
    ),
    ("name: other\nprompt: x\n", "1:7: name: must be mine, as the file is named, not 'other'"),
    (
        "name: mine\n",
        "1:1: needs prompt, prompt_file, prompts_file, turns, session_file, grid, or points with "
        "prompt_tokens",
    ),
    ('name: mine\nprompt: " "\n', "2:9: prompt: is empty"),
    ("name: mine\nprompt_file: no.txt\n", "2:14: prompt_file: jobs/no.txt: no such file"),
    (
        "name: mine\nprompt_file: blank.txt\n",
        "2:14: prompt_file: jobs/blank.txt: the file is empty",
    ),
    (
        "name: mine\nprompt: x\nprompt_file: p.txt\n",
        "3:1: prompt_file: stands beside prompt: keep one of them",
    ),
    (
        "name: mine\npoints: [{prompt_tokens: 16}]\n",
        "1:1: points with exact prompt_tokens need api: generate",
    ),
    (
        "name: mine\nprompt: x\nrequests: many\n",
        "3:11: requests: must be a whole number, not 'many'",
    ),
    ("", "1:1: the file is empty"),
]


@pytest.mark.parametrize(("job", "said"), JOB_SAID)
def test_a_mistake_in_a_job_is_told_in_its_own_file(folder: Path, job: str, said: str) -> None:
    Path("jobs/mine.yaml").write_text(job)
    Path("jobs/blank.txt").write_text("\n \n")
    Path("jobs/p.txt").write_text("question\n")
    Path("configs/x.yaml").write_text(HEAD.replace("gold", "mine"))
    with pytest.raises(ConfigError) as caught:
        load_request(Path("configs/x.yaml"))
    assert str(caught.value) == f"jobs/mine.yaml:{said}"


def test_all_mistakes_of_all_files_come_at_once_in_the_order_of_the_lines(folder: Path) -> None:
    Path("jobs/mine.yaml").write_text("name: mine\nprompt_file: no.txt\nload: never\n")
    Path("jobs/yours.yaml").write_text("\0")
    Path("configs/x.yaml").write_text(
        "version: 2\nmodles: [x]\njobs: [mine, glod, yours]\n"
        "settings: {temperature: hot, num_ctx: 7}\nseed: x\nseed: 1\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_request(Path("configs/x.yaml"))
    assert str(caught.value).splitlines() == [
        "configs/x.yaml:1:1: name: is missing",
        "configs/x.yaml:1:1: models: is missing",
        "configs/x.yaml:1:10: version: this program reads version 1, not 2",
        "configs/x.yaml:2:1: modles: unknown key (did you mean models?)",
        "configs/x.yaml:3:14: jobs: no job named 'glod' (did you mean gold?)",
        "configs/x.yaml:4:25: settings.temperature: must be a number or a list, not 'hot'",
        "configs/x.yaml:4:39: settings.num_ctx: must be at least 256, not 7",
        "configs/x.yaml:5:7: seed: must be a whole number, not 'x'",
        "configs/x.yaml:6:1: seed: stands here a second time, first in line 5",
        "jobs/mine.yaml:2:14: prompt_file: jobs/no.txt: no such file",
        "jobs/mine.yaml:3:7: load: must be trial or request, not 'never'",
        "jobs/yours.yaml:1:1: is a binary file, not text",
    ]


def test_a_job_name_is_no_way_out_of_the_folders(folder: Path) -> None:
    Path("secret.yaml").write_text("name: secret\nprompt: x\n")
    (said,) = lines_of(HEAD.replace("[gold]", "[../secret]"))
    assert said.startswith("4:8: jobs: no job named '../secret'")


@pytest.mark.filterwarnings("ignore")
def test_an_anchor_used_twice_is_refused_where_warnings_are_not_errors(folder: Path) -> None:
    assert lines_of("why: &a x\nname: &a y\n") == ["1:1: found duplicate anchor 'a'"]


def test_aliases_cannot_unfold_into_more_than_memory_holds(folder: Path) -> None:
    text = "a: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12)
    )
    (said,) = lines_of(text)
    assert said.endswith("unfolds to more than 300000 values")


def mistakes_of(path: Path) -> tuple[Mistake, ...] | None:
    try:
        load_request(path)
    except ConfigError as problem:
        return problem.mistakes
    return None


def loads_or_says_why(text: bytes) -> None:
    Path("configs/x.yaml").write_bytes(text)
    mistakes = mistakes_of(Path("configs/x.yaml"))
    assert mistakes != ()
    assert all(one.line >= 1 and one.column >= 1 and one.what for one in mistakes or ())


BITS = st.sampled_from(
    [*"{}[]#~'\"\t\n\x85", "version: 1\n", "name: x\n", "models: [m]\n", "jobs: [gold]\n",
     "engine:\n", "  kind: ", "machines: ", "settings:\n  num_ctx: ", "&a ", "*a ", "? ", ": ",
     "- ", ", ", "<<: ", "!!int ", "!t ", "|\n", ">\n", "%YAML 1.1\n", "---\n", "...\n", "\\x",
     "\\U00110000", "\\ud800", "1e999", "0x", "+_", "9" * 5000, "2026-13-45", ".nan"]
)  # fmt: skip
relaxed = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@relaxed
@given(st.binary(max_size=200))
def test_random_bytes_never_give_a_traceback(folder: Path, text: bytes) -> None:
    loads_or_says_why(text)


@relaxed
@example(["version: 1\n", "engine:\n", "  kind: ", "[", "]"])
@example(["%YAML 1.1\n", "---\n", "models: [m]\n"])
@given(st.lists(BITS, max_size=25))
def test_random_pieces_of_yaml_never_give_a_traceback(folder: Path, bits: list[str]) -> None:
    loads_or_says_why("".join(bits).encode("utf-8", "surrogatepass"))


@relaxed
@given(
    st.dictionaries(
        st.sampled_from(
            ["version", "name", "models", "jobs", "machines", "engine", "settings", "repeats"]
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["all", "x"]),
            lambda some: (
                st.lists(some, max_size=3)
                | st.dictionaries(
                    st.sampled_from(["kind", "num_ctx", "least", "os"]), some, max_size=3
                )
            ),
            max_leaves=6,
        ),
    )
)
def test_values_of_any_type_anywhere_never_give_a_traceback(
    folder: Path, content: dict[str, object]
) -> None:
    from ruamel.yaml import YAML

    with Path("any.yaml").open("w") as stream:
        YAML(typ="safe", pure=True).dump(content, stream)
    loads_or_says_why(Path("any.yaml").read_bytes())
