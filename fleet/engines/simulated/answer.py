"""How the server answers generate and chat: in time, or with the fault that is scripted."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import replace

from fleet.engines.simulated.ground_truth import TrueRequest
from fleet.engines.simulated.machine import ScriptedMachine
from fleet.engines.simulated.protocol import CONTEXT_LENGTH, Lines, idle_answer
from fleet.engines.simulated.question import Question, Refusal, is_gpt_oss
from fleet.engines.simulated.schedule import Schedule, schedule
from fleet.engines.simulated.wire import JSON, Wire

REFUSALS = {
    "busy": (503, "server busy, please try again.  maximum pending requests exceeded"),
    "out_of_memory": (
        500,
        "llama-server reported out-of-memory during startup: failed to allocate buffer",
    ),
    "refuse": (400, "invalid options: refused by the machine's script"),
}

STARVED_NS = 1_000_000
HEAD_EARLY_NS = 1_000_000
"""The head of the answer goes out this long before its first line, so the line is on time."""


def answer(machine: ScriptedMachine, question: Question, wire: Wire, arrived_ns: int) -> bool:
    """Answers one request; False where the connection is to be closed after it."""
    machine.find(question.model)
    if not question.prompt_tokens:
        _load_or_unload(machine, question, wire)
        return True
    number, faults = machine.count_request(question.model)
    written = TrueRequest(
        request=number,
        model=question.model,
        opening=question.opening,
        prompt_tokens=question.prompt_tokens,
        faults=tuple(sorted(faults)),
        arrived_ns=arrived_ns,
    )
    try:
        _refuse(machine, question, faults)
        with machine.slot(question.model):
            return _generate(machine, question, wire, faults, written)
    finally:
        machine.keep(written)


def _load_or_unload(machine: ScriptedMachine, question: Question, wire: Wire) -> None:
    if question.unload:
        machine.unload(question.model)
    else:
        with machine.slot(question.model):
            _, load_ns = machine.load(question)
            wire.wait_until(time.monotonic_ns() + load_ns)
    wire.json(idle_answer(question))


def _refuse(machine: ScriptedMachine, question: Question, faults: Collection[str]) -> None:
    for kind, (status, text) in REFUSALS.items():
        if kind in faults:
            machine.fault_done(kind)
            raise Refusal(status, text)
    if question.think and not is_gpt_oss(question.model):
        raise Refusal(400, f'"{question.model}" does not support thinking')


def _generate(
    machine: ScriptedMachine,
    question: Question,
    wire: Wire,
    faults: Collection[str],
    written: TrueRequest,
) -> bool:
    """Write the answer, and fill `written` as far as it comes, however it ends."""
    start_ns = time.monotonic_ns()
    loaded, load_ns = machine.load(question)
    written.evaluated_from_ns = start_ns + load_ns
    if loaded.model.on_mlx:  # no context that is asked for holds there, only the model's own
        question = replace(question, context=CONTEXT_LENGTH, truncate=False)
    _refuse_overlong(question, on_mlx=loaded.model.on_mlx)
    measured = machine.script.counters == "measured"
    with machine.heat.answering(start_ns + load_ns) as pace:
        plan = schedule(question, loaded.model, loaded.speeds, load_ns, faults, pace)
        plan = _with_cache(machine, question, plan, faults)
        written.cached_tokens, written.first_step_ns = plan.cached_tokens, plan.first_step_ns
        written.tokens_per_round = loaded.model.tokens_per_round
        if "stall" in faults:
            machine.fault_done("stall")
            wire.wait_for_the_end()
        lines = Lines(question, len(plan.due_ns), unasked="thinks_unasked" in faults)
        written.tokens_ns = lines.written_ns
        if machine.meter is not None:
            last_ns = start_ns + plan.due_ns[-1]
            machine.meter.work(start_ns + load_ns, start_ns + plan.due_ns[0], last_ns)
        if question.stream:
            _stream(wire, lines, plan, start_ns, faults, catches_up=not measured)
        else:
            wire.wait_until(start_ns + plan.due_ns[-1])
        if plan.last_step_ns:
            wire.wait_until(time.monotonic_ns() + plan.last_step_ns)
    if measured and "too_fast" not in faults:
        plan = plan.as_written(written.evaluated_from_ns, lines.written_ns)
    _note(machine, question, faults)
    if "die_mid_stream" not in faults:
        _end(wire, lines, plan, time.monotonic_ns() - written.arrived_ns, faults)
    return "die_mid_stream" not in faults


def _refuse_overlong(question: Question, *, on_mlx: bool) -> None:
    if question.prompt_tokens >= question.context and not question.truncate:
        raise Refusal(400, _overlong_mlx(question) if on_mlx else _overlong(question))


def _with_cache(
    machine: ScriptedMachine, question: Question, plan: Schedule, faults: Collection[str]
) -> Schedule:
    """Take from the cache what it holds of the prompt; report it as this server's version does."""
    tells = machine.script.tells_cached
    if "cache_lost" in faults:
        machine.cache.forget(question.model)
    known = machine.cache.take(question, len(plan.due_ns), keeps_bos=tells)
    return replace(plan if "cached_prefix" in faults else plan.knowing(known), tells_cached=tells)


def _end(wire: Wire, lines: Lines, plan: Schedule, total_ns: int, faults: Collection[str]) -> None:
    """Write the final record, or the whole answer where it was not streamed."""
    if not lines.question.stream:
        wire.body(lines.whole(plan, total_ns), JSON)
        return
    if "no_final_record" not in faults:
        wire.line(lines.last(plan, total_ns))
    wire.end_lines()


def _note(machine: ScriptedMachine, question: Question, faults: Collection[str]) -> None:
    """Before the answer ends: who has seen its end finds everything written down."""
    for kind in sorted(faults):
        machine.fault_done(kind)
    if question.unload:
        machine.unload(question.model)


# parameters: everything that one stream of the scripted server depends on
def _stream(
    wire: Wire,
    lines: Lines,
    plan: Schedule,
    start_ns: int,
    faults: Collection[str],
    *,
    catches_up: bool,
) -> None:
    """Write every token at its time; only half of them where the server is to die.

    A server that was kept from the CPU catches up with its script, which no real one could, or
    all that follows is later too.
    """
    wire.wait_until(start_ns + plan.due_ns[0] - HEAD_EARLY_NS)
    wire.begin_lines()
    written = len(plan.due_ns) // 2 if "die_mid_stream" in faults else len(plan.due_ns)
    for number in range(written):
        due_ns = start_ns + plan.due_ns[number]
        wire.wait_until(due_ns)
        late_ns = time.monotonic_ns() - due_ns
        if late_ns > STARVED_NS and not catches_up:
            start_ns += late_ns
        wire.line(lines.token(number))


def _overlong_mlx(question: Question) -> str:
    tokens, most = question.prompt_tokens, question.context
    return (
        f"input length ({tokens} tokens) exceeds the model's maximum context length ({most} tokens)"
    )


def _overlong(question: Question) -> str:
    """llama-server's own JSON, which the real server hands on as text."""
    message = f"request ({question.prompt_tokens} tokens) exceeds the available context size"
    error = {
        "code": 400,
        "message": f"{message} ({question.context} tokens), try increasing it",
        "type": "exceed_context_size_error",
        "n_prompt_tokens": question.prompt_tokens,
        "n_ctx": question.context,
    }
    return json.dumps({"error": error})
