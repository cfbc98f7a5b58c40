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

    def as_written(self, evaluated_from_ns: int, tokens_ns: Sequence[int]) -> Schedule:
        """With the times that passed, where tokens were written."""
        if not tokens_ns:
            return self
        prompt_ns = tokens_ns[0] - evaluated_from_ns
        return replace(self, prompt_ns=prompt_ns, due_ns=tuple(tokens_ns))

    def knowing(self, cached_tokens: int) -> Schedule:
        """Without the time for what is in the cache; the last token is always evaluated."""
        known = min(cached_tokens, self.prompt_tokens - 1)
        saved_ns = round(self.prompt_ns * known / self.prompt_tokens)
        return replace(
            self,
            prompt_ns=self.prompt_ns - saved_ns,
            due_ns=tuple(due_ns - saved_ns for due_ns in self.due_ns),
        )

    def counters(self, total_ns: int) -> dict[str, int]:
        told = {
            "total_duration": total_ns,
            "load_duration": self.load_ns,
            "prompt_eval_duration": self.prompt_ns,
            "eval_duration": max(self.due_ns[-1] - self.due_ns[0], LEAST_NS),
        }
        durations = {name: round(value * self.clock) for name, value in told.items()}
        return {
            **durations,
            "prompt_eval_count": self.told_prompt_tokens,
            "eval_count": len(self.due_ns),
        }


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
    prompt_ns = prompt_tokens * speeds.prefill_ns
    if "cached_prefix" in faults:
        prompt_ns *= CACHED_SHARE
    slow_from = count - count // 3 if "slow_last_third" in faults else count
    return Schedule(
        prompt_tokens=prompt_tokens,
        load_ns=load_ns,
        prompt_ns=round(pace.taken(prompt_ns)),
        due_ns=tuple(
            load_ns
            + round(
                pace.taken(
                    prompt_ns + (i + max(i - slow_from + 1, 0) * (SLOWED - 1)) * speeds.decode_ns
                )
            )
            for i in range(count)
        ),
        done_reason=reason,
        told_prompt_tokens=prompt_tokens // (2 if "wrong_prompt_count" in faults else 1),
        clock=WRONG_CLOCK if "clock_wrong" in faults else 1.0,
    )


def evaluated_tokens(question: Question) -> int:
    """An overlong prompt is cut to about half of the context, as the real server does."""
    fits = question.prompt_tokens < question.context
    return question.prompt_tokens if fits else question.context // 2 + 1


def _answer_length(question: Question, model: ScriptedModel, prompt_tokens: int) -> tuple[int, str]:
    """Tokens and done_reason; an answer that ends by itself ends with its last token."""
    room = max(question.context - prompt_tokens, 1)
    wanted = min(question.num_predict, room) if question.num_predict > 0 else room
    if model.answer_tokens is not None and model.answer_tokens <= wanted:
        return model.answer_tokens, "stop"
    return wanted, "length"
