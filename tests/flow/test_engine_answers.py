"""What Ollamas of many versions and makers have been seen to answer, with the whole program around.

Each kind is a model of one small server, so that a whole experiment tries them side by side.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from fleet.model.trial import attempt_id
from fleet.spool import SET_ASIDE, node_spool, to_json
from tests import builders
from tests.builders_flow import Fleet, experiment
from tests.unit.test_this_machine import own_interface
from tests.wire_ollama import DROP, WireModel, WireOllama, wire_ollama

PLAIN = WireModel()
CLOUD = WireModel(tag={"remote_model": "m:120b", "remote_host": "https://ollama.com:443"})
MODELS = {
    "plain:latest": PLAIN,
    "without-done:latest": WireModel(final={"done": DROP}),
    "milliseconds:latest": WireModel(scale={"eval_duration": 1e-6, "prompt_eval_duration": 1e-6}),
    "negative:latest": WireModel(final={"eval_duration": -123}),
    "huge:latest": WireModel(final={"eval_duration": 2**63}),
    "odd-tensors:latest": WireModel(
        shown={"tensors": [{"name": "a", "type": "F16", "shape": None}]}
    ),
    "negative-memory:latest": WireModel(in_memory={"size_vram": -5}),
    "half-cached:latest": WireModel(cached_share=0.6),
    "first-token-cached:latest": WireModel(final={"prompt_eval_cached_count": 1}),
}
IMPOSSIBLE = "a duration is from 0 to 2592000000000000 ns"


def experiment_of(models: list[str], **changes: Any) -> dict[str, Any]:
    """The load is that of the machine which runs the tests."""
    plain = {"engine": {"kind": "ollama"}, "gates": "record", "repeats": 1, "models": models}
    return experiment({}, **{**plain, **changes})


def environment(server: WireOllama) -> dict[str, str]:
    return {"OLLAMA_HOST": server.host}


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Fleet:
    """The experiment of all kinds, submitted; its output is kept beside it."""
    fleet = Fleet(tmp_path_factory.mktemp("answers"))
    fleet.write(experiment_of([name.removesuffix(":latest") for name in MODELS]))
    with wire_ollama(MODELS) as server:
        done = fleet("submit", "configs/demo.yaml", code=1, env=environment(server))
    (fleet.folder / "output.txt").write_text(done.out + done.err)
    return fleet


def requests(fleet: Fleet, model: str, point: str) -> list[dict[str, Any]]:
    query = f"from requests_flagged where model = '{model}' and point = '{point}' and not warmup"
    return fleet.rows(query)


def faults(request: dict[str, Any]) -> set[str]:
    """Of a request; that a busy machine delivers a chunk late is no fault of the answer."""
    return set(request["invalid"].split()) - {"clock"}


@pytest.mark.parametrize(
    "model", ["plain", "without-done", "odd-tensors", "negative-memory", "first-token-cached"]
)
def test_what_is_odd_beside_the_counters_is_measured(answers: Fleet, model: str) -> None:
    [decode] = requests(answers, model, "tg128")
    assert (faults(decode), decode["done_reason"]) == (set(), "length")
    assert decode["output_tokens"] == 128
    rate = 127 / (decode["output_duration_ns"] / 1e9)
    assert decode["decode_tokens_per_s"] == pytest.approx(rate)
    [prefill] = requests(answers, model, "pp512")
    assert (faults(prefill), prefill["prefill_note"]) == (set(), "")
    [trial] = answers.rows(f"from trials where model = '{model}'")
    assert trial["placement_size_bytes"] == 10**9
    assert trial["placement_gpu_bytes"] == (None if model == "negative-memory" else 10**9)


def test_the_prefill_rate_is_of_the_tokens_that_were_evaluated(answers: Fleet) -> None:
    [one] = requests(answers, "first-token-cached", "pp512")
    seconds = one["prompt_duration_ns"] / 1e9
    assert (one["prompt_tokens"], one["cached_tokens"]) == (512, 1)
    assert one["prefill_tokens_per_s"] == pytest.approx(511 / seconds)
    [half] = requests(answers, "half-cached", "pp512")
    assert (half["cached_tokens"], faults(half)) == (307, {"cached_prefix"})
    assert half["uncached_tokens"] == 205
    assert half["prefill_tokens_per_s"] is None


def test_a_rate_that_no_machine_has_is_printed_nowhere(answers: Fleet) -> None:
    for row in requests(answers, "milliseconds", "tg128"):
        assert "above_ceiling" in row["invalid"]
        rates = [value for name, value in row.items() if name.endswith("_tokens_per_s")]
        assert [rate for rate in rates if rate and rate > 100_000] == []
    output = (answers.folder / "output.txt").read_text()
    rates = [line.split("tokens/s")[0].split("  ")[-1] for line in output.splitlines()]
    shown = [float(rate.replace(" ", "")) for rate in rates if rate.replace(" ", "").isdecimal()]
    assert [rate for rate in shown if rate > 100_000] == []


@pytest.mark.parametrize(("model", "number"), [("negative", "-123"), ("huge", str(2**63))])
def test_a_counter_that_cannot_be_fails_its_trial_by_name(
    answers: Fleet, model: str, number: str
) -> None:
    output = (answers.folder / "output.txt").read_text()
    words = f"failed: impossible_counter eval_duration is {number}, and {IMPOSSIBLE}"
    assert output.count(words) == 3, "it is tried three times, since the next time may go well"
    trials = answers.rows(f"select outcome, reason, transient from trials where model = '{model}'")
    assert trials == [{"outcome": "failed", "reason": "impossible_counter", "transient": True}] * 3
    [request] = answers.rows(
        f"from requests r join trials t using (attempt_id) where model = '{model}' and fence = 0 "
        "and error is not null"
    )
    assert request["output_duration_ns"] is None


def test_the_models_of_one_trial_do_not_stop_the_next(answers: Fleet) -> None:
    rows = answers.rows("select model, outcome from trials group by all")
    assert {row["model"]: row["outcome"] for row in rows} == {
        name.removesuffix(":latest"): "failed" if name.startswith(("negative:", "huge")) else "ok"
        for name in MODELS
    }


def test_a_submit_whose_every_request_is_left_out_says_so_last(fleet: Fleet) -> None:
    """What it says to type finds the results wherever they are kept."""
    fleet.write(experiment_of(["milliseconds"]))
    with wire_ollama({"milliseconds:latest": MODELS["milliseconds:latest"]}) as server:
        done = fleet("submit", "configs/demo.yaml", code=1, env=environment(server))
    assert done.err.splitlines()[-1] == (
        "no request counts, so there is no figure; why: fleet results demo --flagged"
    )
    assert "above_ceiling" in fleet("results", "demo", "--flagged").out
    words = ("submit", "configs/demo.yaml", "--home", str(fleet.folder / "other"))
    with wire_ollama({"milliseconds:latest": MODELS["milliseconds:latest"]}) as server:
        done = fleet(*words, code=1, env=environment(server))
    command = done.err.splitlines()[-1].partition("why: fleet ")[2].split()
    assert "above_ceiling" in fleet(*command).out


def test_a_model_that_cannot_be_measured_leaves_out_itself(fleet: Fleet) -> None:
    models = {
        "plain:latest": PLAIN,
        "cloud:latest": CLOUD,
        "vectors:latest": WireModel(tag={"capabilities": ["embedding"]}),
        "old-vectors:latest": WireModel(shown={"capabilities": ["embedding"]}),
    }
    fleet.write(experiment_of(["cloud", "plain", "vectors", "old-vectors", "nosuch"]))
    with wire_ollama(models) as server:
        planned = fleet("plan", "configs/demo.yaml", env=environment(server)).out
        done = fleet("submit", "configs/demo.yaml", code=1, env=environment(server))
        again = fleet("submit", "configs/demo.yaml", code=1, env=environment(server))
        alone = fleet("submit", "cloud", code=2, env=environment(server))
    for words in (
        "cloud: runs in the cloud, not on this machine",
        "vectors: writes no text, it is for embedding",
    ):
        assert f" {words}" in planned
        assert f" {words}" in done.err
    assert "old-vectors is left out: old-vectors writes no text, it is for embedding" in done.err
    assert (
        "nosuch is left out: pulling nosuch: pull model manifest: file does not exist; "
        "see the names of those here: ollama list"
    ) in done.err
    assert [row["model"] for row in fleet.rows("select model from trials")] == ["plain"]
    status = fleet("status", "--json").json()
    [demo] = [each for each in status if each["experiment"] == "demo"]
    assert {(row["what"], row["clause"]) for row in demo["left_out"]} == {
        ("", "cloud: runs in the cloud, not on this machine"),
        ("", "vectors: writes no text, it is for embedding"),
        ("old-vectors", "old-vectors writes no text, it is for embedding"),
        ("nosuch", "pulling nosuch: pull model manifest: file does not exist"),
    }
    account = demo["account"]
    assert (account["asked"], account["done"], account["left_out"]) == (5, 1, 4)
    assert "1 trial is finished already, 2 to go" in again.err
    assert "nothing is left to run" in alone.err
    assert "cloud: runs in the cloud" in alone.err


def test_a_model_is_one_whatever_its_spelling(fleet: Fleet) -> None:
    """On the command line the experiment has its name from the model, in a file of its own."""
    with wire_ollama({"Llama3.1:latest": PLAIN}) as server:
        words = ("--job", "exact", "--repeats", "1", "--gates", "record")
        first = fleet("submit", "llama3.1", *words, env=environment(server))
        assert "is left out" not in first.err
        for spelling in ("LLAMA3.1", "llama3.1:latest", "registry.ollama.ai/library/Llama3.1"):
            again = fleet("submit", spelling, *words, env=environment(server))
            assert "1 trial is finished already, 0 to go" in again.err
        for number, spelling in enumerate(("llama3.1", "Llama3.1:Latest", "llama3.1")):
            fleet.write(experiment_of([spelling], repeats=number + 1))
            done = fleet("submit", "configs/demo.yaml", env=environment(server))
            are = "1 trial is" if number == 1 else f"{number} trials are"
            assert f"{are} finished" in done.err or not number
    trials = fleet.rows(
        "select experiment, model, count(*) as n from trials group by all order by 1"
    )
    assert trials == [
        {"experiment": "demo", "model": "llama3.1", "n": 3},
        {"experiment": "llama3.1-exact", "model": "llama3.1", "n": 1},
    ]


def test_a_pulled_model_is_found_under_the_spelling_asked_for(fleet: Fleet) -> None:
    with wire_ollama({"plain:latest": PLAIN}) as server:
        server.pullable["New"] = PLAIN
        fleet.write(experiment_of(["New"]))
        assert "pulls New" in fleet("plan", "configs/demo.yaml", env=environment(server)).out
        fleet("submit", "configs/demo.yaml", env=environment(server))
    assert [row["model"] for row in fleet.rows("select model from trials")] == ["New"]


def test_a_model_that_could_not_be_unloaded_is_still_fleets_own(fleet: Fleet) -> None:
    """What is in memory cannot be asked while the first trial ends."""
    fleet.write(experiment_of(["plain"], gates={"policy": "wait", "at_most": "1s"}))
    with wire_ollama({"plain:latest": PLAIN}) as server:
        server.ps_fails = True
        failed = fleet("submit", "configs/demo.yaml", code=1, env=environment(server))
        assert "failed: " in failed.err
        server.ps_fails = False
        server.loaded["plain:latest"] = 1024
        fleet("submit", "configs/demo.yaml", env=environment(server))
    outcomes = [row["outcome"] for row in fleet.rows("from trials order by fence")]
    assert outcomes[-1] == "ok"


def test_a_poisoned_spool_stops_no_submit(fleet: Fleet) -> None:
    """A result of an earlier version, with a number that no column holds."""
    fleet.write(experiment_of(["plain"]))
    with wire_ollama({"plain:latest": PLAIN}) as server:
        facts = fleet("machines", "--here", "--json", env=environment(server)).json()
        trial = replace(builders.trial(), machine_id=facts["machine_id"])
        attempt = builders.attempt()
        result = builders.result(replace(attempt, trial=trial), suspended_ns=2**63)
        spool = node_spool(fleet.store, facts["machine_id"])
        spool.folder.mkdir(parents=True)
        file = spool.folder / f"{result.attempt_id}.json"
        file.write_bytes(to_json(result))
        (spool.folder / "torn.json").write_bytes(b"{")
        done = fleet("submit", "configs/demo.yaml", env=environment(server))
        again = fleet("submit", "configs/demo.yaml", env=environment(server))
    aside = spool.folder / SET_ASIDE / file.name
    assert f"a result cannot be stored; it is kept in {aside}" in done.err
    assert "a spooled result cannot be read; it is kept as" in done.err
    assert "suspended_ns does not fit its column" in aside.with_suffix(".txt").read_text()
    assert attempt_id(trial.trial_id, 0) == aside.stem
    assert fleet.spooled() == []
    assert "set-aside" not in again.err
    assert [row["outcome"] for row in fleet.rows("select outcome from trials")] == ["ok"]


def test_an_ollama_on_an_own_interface_is_measured(fleet: Fleet) -> None:
    with wire_ollama({"plain:latest": PLAIN}, own_interface()) as server:
        fleet.write(experiment_of(["plain"]))
        fleet("submit", "configs/demo.yaml", env=environment(server))
    assert [row["outcome"] for row in fleet.rows("select outcome from trials")] == ["ok"]


def test_the_environment_has_no_say_in_what_a_local_engine_answers(fleet: Fleet) -> None:
    variables = {
        "ALL_PROXY": "socks5://127.0.0.1:9",
        "no_proxy": "localhost,fe80::/10",
        "SSL_CERT_FILE": "/nonexistent.pem",
        "SSLKEYLOGFILE": "/nonexistent/keys",
    }
    fleet.write(experiment_of(["plain"]))
    with wire_ollama({"plain:latest": PLAIN}) as server:
        env = {**environment(server), **variables}
        assert "1 trial, " in fleet("plan", "configs/demo.yaml", env=env).out
        assert "0.34.4 at http://127.0.0.1" in fleet("doctor", code=None, env=env).out


@pytest.mark.parametrize(
    ("version", "checked"),
    [("0.11.9", False), ("0.12.0", True), ("0.40.2", True), ("0.41.0", False), ("main", False)],
)
def test_a_version_that_nobody_checked_is_measured_and_said_to_be_one(
    fleet: Fleet, version: str, checked: bool
) -> None:
    fleet.write(experiment_of(["plain"]))
    with wire_ollama({"plain:latest": PLAIN}) as server:
        server.version = version
        done = fleet("submit", "configs/demo.yaml", env=environment(server))
    words = f"Ollama {version}: its meaning was not checked by this version of fleet"
    assert done.err.count(words) == (not checked)
    flags = {flag for row in fleet.rows("from speeds") for flag in row["flags"].split()}
    assert ("unchecked_version" in flags) == (not checked)
    assert fleet.rows("select outcome from trials") == [{"outcome": "ok"}]


def variant(digest: str, model_format: str, *tensors: str) -> WireModel:
    """One of the models that a name may mean, as it lists and describes itself."""
    details = {"format": model_format, "family": "llama", "quantization_level": "nvfp4"}
    listed = [{"name": name, "type": "F16", "shape": [1000, 1000]} for name in tensors]
    tag = {"name": "tiny:latest", "model": "tiny:latest", "details": details, "digest": digest * 64}
    return WireModel(
        tag=tag,
        shown={"details": details, "tensors": listed},
        in_memory={"digest": digest * 64},
    )


LAYER, DRAFT_HEAD = "model.layers.0.mlp.up_proj.weight", "mtp.layers.0.mlp.up_proj.weight"


@pytest.mark.parametrize(
    ("later", "facts"),
    [
        (variant("b", "safetensors", LAYER), ("safetensors", "no")),
        (variant("c", "gguf", "output.weight"), ("gguf", "no")),
    ],
)
def test_a_name_that_means_another_variant_now_is_new_work(
    fleet: Fleet, later: WireModel, facts: tuple[str, str]
) -> None:
    fleet.write(experiment_of(["tiny"]))
    with wire_ollama({"tiny:latest": variant("a", "gguf", "output.weight")}) as server:
        env = environment(server)
        fleet("submit", "configs/demo.yaml", env=env)
        server.models["tiny:latest"] = later
        told = fleet("submit", "configs/demo.yaml", code=None, env=env)
        fleet("submit", "configs/demo.yaml", "--yes", env=env)
    assert f"tiny {'a' * 12} -> {later.tag['digest'][:12]}" in told.err
    rows = fleet.rows("select digest, model_format, drafts from cells order by last_started_at")
    of_later = {(row["model_format"], row["drafts"]) for row in rows if row["digest"][0] != "a"}
    assert {row["digest"][0] for row in rows} == {"a", later.tag["digest"][0]}
    assert of_later == {facts}


def test_a_draft_head_that_an_update_brings_is_new_work(fleet: Fleet) -> None:
    fleet.write(experiment_of(["tiny"]))
    with wire_ollama({"tiny:latest": variant("a", "safetensors", LAYER)}) as server:
        env = environment(server)
        fleet("submit", "configs/demo.yaml", env=env)
        server.models["tiny:latest"] = variant("b", "safetensors", LAYER, DRAFT_HEAD)
        told = fleet("submit", "configs/demo.yaml", code=None, env=env)
        fleet("submit", "configs/demo.yaml", "--yes", env=env)
    assert f"tiny {'a' * 12} -> {'b' * 12}" in told.err
    rows = fleet.rows("select distinct digest, drafts from cells order by digest")
    assert [row["drafts"] for row in rows] == ["no", "yes"]
    assert "with drafts" in fleet("results", "demo").out


def test_two_rows_under_one_name_are_measured_as_the_one_that_is_loaded(fleet: Fleet) -> None:
    fleet.write(experiment_of(["tiny"]))
    own, other = variant("a", "safetensors", LAYER), variant("b", "gguf", "output.weight")
    with wire_ollama({"tiny:latest": own, "other:latest": other}) as server:
        env = environment(server)
        fleet("submit", "configs/demo.yaml", env=env)
        own.in_memory = other.in_memory
        wrong = fleet("submit", "configs/demo.yaml", "--again", code=1, env=env)
        own.shown = {"details": {}}
        unknown = fleet("plan", "configs/demo.yaml", code=None, env=env)
    assert "was loaded as another of its variants, bbbbbbbbbbbb" in wrong.err
    assert "is 2 models: safetensors aaaaaaaaaaaa, gguf bbbbbbbbbbbb" in unknown.out
    assert fleet.rows("select distinct digest from speeds") == [{"digest": "a" * 64}]


def test_doctor_names_the_core_that_an_idle_model_on_mlx_holds(fleet: Fleet) -> None:
    words = "before Ollama 0.34 a model on MLX keeps a core busy while it rests"
    with wire_ollama({"tiny:latest": variant("a", "safetensors", LAYER)}) as server:
        server.loaded["tiny:latest"] = 1024
        for version, told in (("0.33.4", True), ("0.34.0", False)):
            server.version = version
            out = " ".join(fleet("doctor", code=None, env=environment(server)).out.split())
            assert (words in out) == told
