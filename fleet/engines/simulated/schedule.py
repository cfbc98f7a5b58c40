"""When each token of an answer is due, and what the server will say of it; pure."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from fleet.engines.simulated.question import Question
from fleet.model.script import ScriptedModel
from fleet.units import NS_PER_S

CACHED_SHARE = 0.02
"""Part of the prefill time that is left where a fault says the prefix was cached."""
WRONG_CLOCK = 1.5
SLOWED = 2
TOO_FAST = 1000
LEAST_NS = 1000
"""What the real server reports for no time at all: a zero would be left out of the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speeds:
    """Of one loaded model, in real time: the scripted ones with noise and time scale in them."""

    prefill_ns: float
    """Nanoseconds for each token."""
    decode_ns: float

    @classmethod
    def of(cls, model: ScriptedModel, *, factor: float, time_scale: float) -> Speeds:
        """`factor` above 1 is faster."""
        unit_ns = NS_PER_S * time_scale / factor
        return cls(
            prefill_ns=unit_ns / model.prefill_tokens_per_s,
            decode_ns=unit_ns / model.decode_tokens_per_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long a machine that gets hot keeps its speed."""

    full_ns: float
    """Time at full speed that is left."""
    to: float
    """Part of the speed after that."""

    def taken(self, work_ns: float) -> float:
        """Time that so much work takes, `work_ns` being its time at full speed."""
        slow_ns = max(work_ns - self.full_ns, 0.0)
        return work_ns - slow_ns + slow_ns / self.to


STEADY = Pace(full_ns=math.inf, to=1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """Counts and times; offsets count from the moment the server turns to the request."""

    prompt_tokens: int
    load_ns: int
    prompt_ns: int
    due_ns: tuple[int, ...]
    """One offset for each token."""
    done_reason: str
    told_prompt_tokens: int
    clock: float = 1.0
    """What the server's own durations are multiplied with."""
    first_step_ns: int = 0
    """Of MLX, which evaluates the last token of the prompt with the output: the step before the
    first token. llama.cpp evaluates it with the prompt."""
    last_step_ns: int = 0
    """Of MLX: the step that gives the end of an answer."""
    cached_tokens: int = 0
    tells_cached: bool = False

    @property
    def timed_prompt_tokens(self) -> int:
        return max(self.prompt_tokens - (self.first_step_ns > 0), 1)

    def as_written(self, evaluated_from_ns: int, tokens_ns: Sequence[int]) -> Schedule:
        """With the times that passed, where tokens were written."""
        if not tokens_ns:
            return self
        prompt_ns = tokens_ns[0] - evaluated_from_ns - self.first_step_ns
        return replace(self, prompt_ns=prompt_ns, due_ns=tuple(tokens_ns))

    def knowing(self, cached_tokens: int) -> Schedule:
        """Without the time for what is in the cache; the last token is always evaluated."""
        known = min(cached_tokens, self.prompt_tokens - 1)
        saved_ns = min(round(self.prompt_ns * known / self.timed_prompt_tokens), self.prompt_ns)
        return replace(
            self,
            cached_tokens=known,
            prompt_ns=self.prompt_ns - saved_ns,
            due_ns=tuple(due_ns - saved_ns for due_ns in self.due_ns),
        )

    def counters(self, total_ns: int) -> dict[str, int]:
        counters = {
            "total_duration": total_ns,
            "load_duration": self.load_ns,
            "prompt_eval_duration": self.prompt_ns,
            "eval_duration": max(self._output_ns(), LEAST_NS),
        }
        durations = {name: round(value * self.clock) for name, value in counters.items()}
        return {
            **durations,
            "prompt_eval_count": self.told_prompt_tokens,
            **({"prompt_eval_cached_count": self.cached_tokens} if self.tells_cached else {}),
            "eval_count": len(self.due_ns),
        }

    def _output_ns(self) -> int:
        return self.first_step_ns + self.due_ns[-1] - self.due_ns[0] + self.last_step_ns


# parameters: everything that the times of one answer depend on
def schedule(
    question: Question,
    model: ScriptedModel,
    speeds: Speeds,
    load_ns: int,
    faults: Collection[str],
    pace: Pace = STEADY,
) -> Schedule:
    if "too_fast" in faults:
        speeds = replace(speeds, decode_ns=speeds.decode_ns / TOO_FAST)
    prompt_tokens = evaluated_tokens(question)
    count, reason = _answer_length(question, model, prompt_tokens)
    if "short_answer" in faults:
        count, reason = max(count // 2, 1), "stop"
    prompt_ns = (prompt_tokens - model.on_mlx) * speeds.prefill_ns
    cached = 0
    if "cached_prefix" in faults:
        prompt_ns *= CACHED_SHARE
        cached = round(prompt_tokens * (1 - CACHED_SHARE))
    steps = _steps(count, model, slowed="slow_last_third" in faults)
    due_ns = tuple(
        load_ns + round(pace.taken(prompt_ns + step * speeds.decode_ns)) for step in steps
    )
    ends = reason == "stop" and model.on_mlx and model.tokens_per_round == 1
    return Schedule(
        prompt_tokens=prompt_tokens,
        load_ns=load_ns,
        prompt_ns=round(pace.taken(prompt_ns)),
        due_ns=due_ns,
        done_reason=reason,
        told_prompt_tokens=prompt_tokens // (2 if "wrong_prompt_count" in faults else 1),
        clock=WRONG_CLOCK if "clock_wrong" in faults else 1.0,
        first_step_ns=due_ns[0] - load_ns - round(pace.taken(prompt_ns)) if model.on_mlx else 0,
        last_step_ns=round(speeds.decode_ns) if ends else 0,
        cached_tokens=cached,
    )


def _steps(count: int, model: ScriptedModel, *, slowed: bool) -> Sequence[int]:
    """Return the step that each token comes of, in steps of one token since the prompt's end.

    On llama.cpp the prompt gives the first token. On MLX a step does, and with drafts a round of
    several tokens takes as long as so many steps, so that the scripted speed is that of the text.
    """
    of_round = model.tokens_per_round if model.on_mlx else 1
    slow_from = count - count // 3 if slowed else count
    return [
        (number // of_round + model.on_mlx) * of_round
        + max(number - slow_from + 1, 0) * (SLOWED - 1)
        for number in range(count)
    ]


def evaluated_tokens(question: Question) -> int:
    """Return the evaluated tokens; an overlong prompt is cut to about half of the context."""
    fits = question.prompt_tokens < question.context
    return question.prompt_tokens if fits else question.context // 2 + 1


def _answer_length(question: Question, model: ScriptedModel, prompt_tokens: int) -> tuple[int, str]:
    """Tokens and done_reason; an answer that ends by itself ends with its last token."""
    room = max(question.context - prompt_tokens, 1)
    wanted = min(question.num_predict, room) if question.num_predict > 0 else room
    if model.answer_tokens is not None and model.answer_tokens <= wanted:
        return model.answer_tokens, "stop"
    return wanted, "length"
