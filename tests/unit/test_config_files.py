"""The shipped files, the search for files, schemas, and files that say what was meant."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from fleet.config.from_models import ModelWords, from_models
from fleet.config.reading import load_request
from fleet.config.schemas import json_schema, schema_text, write_schemas
from fleet.config.shipped import find_experiment, names_in, shipped_folder
from fleet.config.shipped_parts import practice_machines, shipped_prompts
from fleet.errors import ConfigError, UnknownName, UserError
from fleet.model.experiment import Experiment, Repeats, Request, Selector
from fleet.model.noun import label_mistake
from fleet.model.settings import Settings
from fleet.plan.refusals.limits import KEEP_FREE_MB

CONFIGS, JOBS = shipped_folder("configs"), shipped_folder("jobs")


def job_text(name: str) -> str:
    return f"name: {name}\nprompt_file: texts/q.txt\nrequests: 2\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "configs").mkdir()
    (tmp_path / "jobs" / "texts").mkdir(parents=True)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return tmp_path


def experiment_file(folder: Path, *jobs: str) -> Path:
    path = folder / "configs" / "x.yaml"
    path.write_text(f"version: 1\nname: x\nmodels: [m]\njobs: [{', '.join(jobs)}]\n")
    return path


@pytest.mark.parametrize("name", names_in(CONFIGS))
def test_a_shipped_experiment_loads_pins_its_context_and_says_why(name: str) -> None:
    path = CONFIGS / f"{name}.yaml"
    experiment = load_request(path).experiment
    assert experiment.name == name
    assert experiment.why
    # what stands behind 8192 tokens, and prompts of 32768
    longer = {"memory-96-vs-128": 16384, "mlx-or-gguf": 33792, "mlx-or-gguf-8bit": 33792}
    assert experiment.settings.num_ctx == longer.get(name, 8192)
    assert f"num_ctx: {longer.get(name, 8192)}" in path.read_text()
    first = path.read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=./fleet.schema.json"


@pytest.mark.parametrize("name", names_in(CONFIGS))
def test_a_shipped_experiment_runs_whole(name: str) -> None:
    """No point of its jobs needs more context than it asks for, so none is left out."""
    request = load_request(CONFIGS / f"{name}.yaml")
    room = request.experiment.settings.num_ctx
    assert isinstance(room, int)
    needed = {f"{job.name} {p}": job.least_tokens(p) for job in request.jobs for p in job.points}
    assert {point: tokens for point, tokens in needed.items() if tokens > room} == {}


@pytest.mark.parametrize("name", names_in(JOBS))
def test_a_shipped_job_loads_and_says_why(name: str) -> None:
    (job,) = from_models(ModelWords(models=["m"], jobs=[name])).jobs
    assert job.name == name
    assert job.why
    first = (JOBS / f"{name}.yaml").read_text().splitlines()[0]
    assert first == "# yaml-language-server: $schema=./job.schema.json"


def test_what_is_shipped() -> None:
    assert names_in(CONFIGS) == [
        "gpt-oss", "memory-96-vs-128", "mlx-or-gguf", "mlx-or-gguf-8bit", "ollama-versions",
        "practice", "quickstart", "throttling", "wired-limit",
    ]  # fmt: skip
    assert names_in(JOBS) == [
        "agent", "bursts", "chat", "code", "cold-load", "concurrency", "conversation",
        "conversation-anew", "depth",
        "formats", "gold", "grid", "noise", "prefill-decode", "prose", "quickstart",
        "regularization", "side-by-side", "soak", "synthetic", "warm-load",
    ]  # fmt: skip


def test_the_shipped_prompts_and_labels() -> None:
    jobs = {
        job.name: job for job in from_models(ModelWords(models=["m"], jobs=names_in(JOBS))).jobs
    }
    assert jobs["gold"].prompt == (
        "describe the relativistic effects that result in gold appearing yellowish"
    )
    assert jobs["regularization"].prompt == (
        "describe the difference between L1 and L2 regularization"
        " - what are the geometric implications"
    )
    labels = {name: [point.name(name) for point in job.points] for name, job in jobs.items()}
    assert labels["prefill-decode"] == ["pp512", "tg128", "tg128@d8192"]
    assert labels["quickstart"] == ["pp512", "tg128"]
    assert labels["chat"] == ["chat"]
    both = {point.label: point.prompt for point in jobs["side-by-side"].points}
    assert both == {name: jobs[name].prompt for name in ("gold", "regularization")}
    assert jobs["cold-load"].load == "request"


def test_the_wired_limit_experiment_is_eight_gib_above_the_default_and_all_that_may_be() -> None:
    experiment = load_request(CONFIGS / "wired-limit.yaml").experiment
    of_96_gb = [73_728 + 8 * 1024, 96 * 1024 - KEEP_FREE_MB]
    assert experiment.settings.wired_limit_mb == ["default", *of_96_gb]
    assert experiment.settings.axes() == ("wired_limit_mb",)
    assert (experiment.control, experiment.baseline) == ("on", "default")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("wired-limit", "adds 8 GiB to the default of a 96 GB Mac with macOS 15, only 2.2 GiB"),
        ("wired-limit", "and lowers that of a 128 GB Mac"),
        ("memory-96-vs-128", "96 against 128 GB always compares two chips"),
        ("memory-96-vs-128", "there is no M3 Ultra with 128 GB"),
    ],
)
def test_the_studies_say_what_they_are_not(name: str, said: str) -> None:
    assert said in load_request(CONFIGS / f"{name}.yaml").experiment.why


@pytest.mark.parametrize("name", ["wired-limit", "memory-96-vs-128"])
def test_the_studies_have_models_that_fit_a_96_gb_mac_and_one_that_does_not(name: str) -> None:
    practice = load_request(CONFIGS / "practice.yaml").experiment.engine
    assert practice.kind == "simulated"
    models = load_request(CONFIGS / f"{name}.yaml").experiment.models
    small, large = (practice.machines[machine] for machine in ("studio-96", "max-128"))
    sizes = [small.models[model].size_bytes for model in models]
    assert [size <= 73_728 * 2**20 for size in sizes] == [True] * (len(sizes) - 1) + [False]
    assert 79_626 * 2**20 < sizes[-1] < 81_920 * 2**20, "nor under the default of macOS 26"
    assert all(large.models[model].size_bytes <= 98_304 * 2**20 for model in models)


def test_the_practice_fleet_ends_within_two_minutes() -> None:
    request = load_request(CONFIGS / "practice.yaml")
    experiment, (job,) = request.experiment, request.jobs
    assert experiment.engine.kind == "simulated"
    seconds = {
        name: sum(
            machine.time_scale
            * experiment.blocks().most
            * (
                model.load_s
                + (job.warmup + job.requests)
                * sum(
                    (point.prompt_length() or 0) / model.prefill_tokens_per_s
                    + point.output_tokens / model.decode_tokens_per_s
                    for point in job.points
                )
            )
            for model in machine.models.values()
        )
        for name, machine in experiment.engine.machines.items()
    }
    assert list(seconds) == ["studio-96", "max-128", "box-4090", "strix-128"]
    assert max(seconds.values()) < 120


def test_the_committed_schemas_are_those_of_the_code(tmp_path: Path) -> None:
    experiment, job, session, machines = write_schemas(tmp_path)
    assert (experiment.name, job.name) == ("fleet.schema.json", "job.schema.json")
    assert machines.read_text() == (CONFIGS / "machines.schema.json").read_text()
    assert experiment.read_text() == (CONFIGS / experiment.name).read_text()
    assert job.read_text() == (JOBS / job.name).read_text()
    assert session.read_text() == (JOBS / "sessions" / session.name).read_text()


def test_the_schema_has_a_dialect_and_a_description_for_each_key_of_an_experiment() -> None:
    schema = json_schema("experiment")
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert json.loads(schema_text(schema)) == schema
    assert schema["additionalProperties"] is False
    assert "description" in schema["properties"]["models"]
    assert set(json_schema("job")["required"]) == {"name"}


def test_a_job_beside_the_experiment_hides_one_of_here_and_that_a_shipped_one(
    folder: Path,
) -> None:
    (folder / "elsewhere" / "jobs").mkdir()
    (folder / "jobs" / "gold.yaml").write_text("name: gold\nprompt: beside\n")
    (folder / "elsewhere" / "jobs" / "gold.yaml").write_text("name: gold\nprompt: here\n")
    (folder / "elsewhere" / "jobs" / "chat.yaml").write_text("name: chat\nprompt: here\n")
    request = load_request(experiment_file(folder, "gold", "chat", "cold-load"))
    assert [job.prompt for job in request.jobs] == ["beside", "here", "Say hello."]


def test_an_experiment_named_by_its_bare_file_name_finds_the_jobs_beside_its_folder(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "jobs" / "mine.yaml").write_text("name: mine\nprompt: a\n")
    experiment_file(folder, "mine")
    monkeypatch.chdir(folder / "configs")
    assert load_request(Path("x.yaml")).jobs[0].prompt == "a"


def test_a_prompt_file_lies_beside_its_job_and_its_text_is_the_prompt(folder: Path) -> None:
    (folder / "jobs" / "mine.yaml").write_text(job_text("mine"))
    (folder / "jobs" / "texts" / "q.txt").write_text("Why is\nthe sky blue?\n", encoding="utf-8")
    (job,) = load_request(experiment_file(folder, "mine")).jobs
    assert job.prompt == "Why is\nthe sky blue?"
    assert Request.model_validate_json(
        load_request(experiment_file(folder, "mine")).model_dump_json()
    ).jobs == (job,)


def test_the_file_of_a_prompt_is_no_part_of_what_identifies_a_job(folder: Path) -> None:
    (folder / "jobs" / "a.yaml").write_text(job_text("a"))
    (folder / "jobs" / "texts" / "q.txt").write_text("Why?\n")
    (by_file,) = load_request(experiment_file(folder, "a")).jobs
    (folder / "jobs" / "a.yaml").write_text("name: a\nprompt: Why?\nrequests: 2\n")
    (in_place,) = load_request(experiment_file(folder, "a")).jobs
    assert by_file.content() == in_place.content()


def test_find_experiment_knows_paths_and_shipped_names(folder: Path) -> None:
    path = experiment_file(folder, "gold")
    assert find_experiment(str(path)) == path
    for word in ("gpt-oss", "gpt-oss.yaml", "configs/gpt-oss.yaml", "configs/gpt-oss"):
        assert find_experiment(word) == CONFIGS / "gpt-oss.yaml"
    for word in (
        "gpt-oss:20b",
        "configs/nobody.yaml",
        "",
        "a\0b",
        "x" * 5000,
        "../configs/gpt-oss",
    ):
        assert find_experiment(word) is None


def test_a_file_of_here_is_meant_before_a_shipped_one_and_a_folder_is_not(folder: Path) -> None:
    Path("quickstart").mkdir()
    assert find_experiment("quickstart") == CONFIGS / "quickstart.yaml"
    Path("configs").mkdir()
    Path("configs/quickstart.yaml").touch()
    found = find_experiment("configs/quickstart.yaml")
    assert found == Path("configs/quickstart.yaml")
    assert find_experiment("configs") == Path("configs")


def test_model_names_alone_make_an_experiment() -> None:
    request = from_models(ModelWords(models=["gpt-oss:20b"]))
    experiment = request.experiment
    assert experiment.name == "gpt-oss-20b"
    assert experiment.models == ("gpt-oss:20b",)
    assert experiment.settings == Settings(num_ctx=8192)
    assert experiment.machines == "all"
    assert experiment.repeats == Repeats()
    assert experiment.engine.kind == "ollama"
    assert [job.name for job in request.jobs] == ["quickstart", "chat"]
    assert request == from_models(ModelWords(models=["gpt-oss:20b"]))


def test_words_become_machines_jobs_and_repeats() -> None:
    request = from_models(
        ModelWords(
            models=["a:1b", "a:1b", "m", "m:latest"],
            jobs=["gold", "chat"],
            machines=["studio-96"],
            repeats=2,
            engine="embedded",
        )
    )
    assert request.experiment.name == "a-1b-m-gold-chat-embedded"
    assert request.experiment.models == ("a:1b", "m")
    assert request.experiment.machines == ("studio-96",)
    assert request.experiment.blocks() == Repeats(least=2, most=2)


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        ({"jobs": ["glod"]}, UnknownName, "no job named 'glod' (did you mean gold?)"),
        ({"engine": "olama"}, UnknownName, "unknown engine 'olama' (did you mean ollama?)"),
        ({"engine": "simulated"}, UserError, "engine simulated: its machines are scripted"),
        ({"repeats": 0}, UserError, "repeats: must be 1 to 1000, not 0"),
        ({"models": []}, UserError, "no model is named"),
        ({"models": [" "]}, UserError, "no model is named"),
        ({"models": ["m "]}, UserError, "model: 'm ' has a space at its beginning or end"),
        ({"models": ["m" * 300]}, UserError, "model: is longer than 200 characters"),
        ({"machines": ["a\n"]}, UserError, "--machines: 'a\n' has a space at its beginning or end"),
    ],
)
def test_words_that_make_no_experiment(
    words: dict[str, object], error: type[UserError], said: str
) -> None:
    with pytest.raises(error) as caught:
        from_models(ModelWords(**{"models": ["m"], **words}))  # type: ignore[arg-type]
    assert str(caught.value).startswith(said)


def test_a_broken_job_of_here_is_told_with_its_place(folder: Path) -> None:
    Path("jobs").mkdir()
    Path("jobs/chat.yaml").write_text("name: chat\nprompt: 3\n")
    with pytest.raises(ConfigError) as caught:
        from_models(ModelWords(models=["m"]))
    said = 'jobs/chat.yaml:2:9: prompt: must be text, not 3 (write "3")'
    assert str(caught.value) == said


def test_a_long_name_is_cut_and_stays_its_own() -> None:
    models = [f"a-model-with-a-long-name:{size}b" for size in range(1, 9)]
    whole = from_models(ModelWords(models=models)).experiment.name
    fewer = from_models(ModelWords(models=models[:-1])).experiment.name
    assert len(whole) == len(fewer) == 60
    assert whole != fewer


PRINTED = st.characters(exclude_categories=["C", "Zl", "Zp"])
LABELS = st.text(PRINTED, min_size=1, max_size=40).filter(lambda text: not label_mistake(text))
MODELS = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=40)


@given(st.lists(MODELS, min_size=1, max_size=8))
def test_any_model_names_make_a_valid_and_stable_name(models: list[str]) -> None:
    first = from_models(ModelWords(models=models)).experiment
    assert first.name == from_models(ModelWords(models=models)).experiment.name
    assert len(first.name) <= 60


AXES = st.builds(
    Settings,
    num_ctx=st.sampled_from([256, 8192, [8192, 16384]]),
    temperature=st.floats(0, 2) | st.lists(st.floats(0, 2), min_size=1, unique=True, max_size=3),
    num_thread=st.none() | st.integers(1, 64),
    wired_limit_mb=st.none()
    | st.lists(st.just("default") | st.integers(1, 9), unique=True, min_size=1),
)
SELECTORS = st.builds(
    Selector,
    name=st.none() | LABELS,
    os=st.none() | st.sampled_from(["darwin", "linux"]),
    memory_gb=st.none() | st.integers() | st.sampled_from([">=96", "< 64", "128"]),
)
EXPERIMENTS = st.builds(
    Experiment,
    version=st.just(1),
    name=st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{,99}\Z"),
    why=st.text(st.characters(exclude_categories=["Cs"])),
    models=st.lists(
        MODELS, min_size=1, max_size=3, unique_by=lambda name: name.split(":")[0].casefold()
    ).map(tuple),
    jobs=st.lists(st.sampled_from(names_in(JOBS)), min_size=1, unique=True).map(tuple),
    machines=st.just("all") | st.lists(LABELS, min_size=1).map(tuple) | SELECTORS,
    settings=AXES,
    repeats=st.integers(1, 1000) | st.builds(Repeats, least=st.integers(1, 5)),
    seed=st.integers(0, 2**31 - 1),
)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(EXPERIMENTS)
def test_an_experiment_written_as_yaml_loads_back_equal(
    folder: Path, experiment: Experiment
) -> None:
    path = folder / "configs" / "x.yaml"
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = YAML(typ="safe", pure=True)
        writer.width = 2**20  # lines that it folds are read back with a space more,
        writer.allow_unicode = False  # and line breaks of Unicode as spaces;
        writer.default_flow_style = False  # inside [] it does not quote a leading question mark
        writer.dump(experiment.model_dump(mode="json"), stream)
    assert load_request(path).experiment == experiment


@pytest.mark.parametrize("name", names_in(CONFIGS))
def test_a_shipped_experiment_travels_as_json(name: str) -> None:
    request = load_request(CONFIGS / f"{name}.yaml")
    assert Request.model_validate_json(request.model_dump_json()) == request


def test_looking_up_a_name_reads_no_file_and_costs_nothing() -> None:
    program = (
        "import sys, fleet.config.shipped; print({'pydantic', 'ruamel.yaml'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("sign", [CONFIGS / "README.md", JOBS / "README.md"])
def test_the_example_on_the_door_sign_loads(folder: Path, sign: Path) -> None:
    example = sign.read_text().split("```yaml\n")[1].split("```")[0]
    (folder / "jobs" / "texts" / "report.txt").write_text("a long report")
    if sign.parent == JOBS:
        (folder / "jobs" / "summary.yaml").write_text(example)
        assert load_request(experiment_file(folder, "summary")).jobs[0].name == "summary"
    else:
        (folder / "configs" / "x.yaml").write_text(example)
        assert load_request(folder / "configs" / "x.yaml").experiment.name == "batch-size"


@pytest.mark.parametrize("folder_of", [CONFIGS, JOBS])
def test_the_door_sign_names_every_file(folder_of: Path) -> None:
    sign = (folder_of / "README.md").read_text()
    assert [name for name in names_in(folder_of) if f"`{name}.yaml`" not in sign] == []


def test_a_shipped_prompt_is_known_by_its_job() -> None:
    prompts = shipped_prompts()
    assert set(prompts.values()) == {
        *("chat", "code", "cold-load", "gold", "prose", "regularization"),
    }
    gold = "describe the relativistic effects that result in gold appearing yellowish"
    assert prompts[gold] == "gold"


def test_practice_machines_are_those_of_the_shipped_experiment() -> None:
    assert practice_machines(2) == ["studio-96", "max-128"]
    assert len(practice_machines(4)) == 4
    with pytest.raises(UserError, match="5 practice machines: only 4 are scripted"):
        practice_machines(5)
