"""Fit prompts to an exact length: once per point, with the tokenizer of the engine itself.

A fit sends requests for one output token, with a nonce of their own, and records them as warm-ups.
Each begins like the one before it, so an engine with a prompt cache evaluates little of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fleet import prompts
from fleet.errors import RequestRefused
from fleet.model.job import Point
from fleet.model.trial import Trial
from fleet.prompts import SAMPLE_WORDS, Body, Fit, Scale
from fleet.runner.sending import RequestPlan, RequestSender

Count = Callable[[str], int]
"""Returns the number of tokens of a prompt."""


@dataclass(frozen=True, slots=True)
class ExactPrompt:
    """The prompt of all requests of a point, without the nonce in front."""

    body: Body
    depth: Fit
    new: Fit
    fitting_nonce: str
    """The nonce of the fit: the engine has already evaluated prompts that begin with it."""

    def before(self, nonce: str) -> str:
        """Return the beginning of `whole` that is sent ahead, to fill the context."""
        return nonce + self.body.cut(self.depth)

    def whole(self, nonce: str) -> str:
        """Return the prompt that is measured."""
        return self.before(nonce) + self.body.cut(self.new, after=self.depth.words)


def fit_prompt(sender: RequestSender, point: Point) -> ExactPrompt:
    """Fit the point's prompt: one excerpt for every model and machine, another for each block."""
    trial = sender.trial
    name = point.name(trial.job.name)
    body = Body(trial.job.text, f"{trial.seed}/{trial.job.name}/{name}/{trial.block}")
    nonce = sender.nonce(name, "fit")
    count = _counting(sender, name, nonce)
    scale = sender.log.scale or _scale(trial, body, nonce, count)
    sender.log.scale = scale
    depth, base = Fit(0), scale.nonce_tokens
    if point.depth_tokens:
        depth = prompts.fit(
            lambda cut: count(nonce + body.cut(cut)), point.depth_tokens, base, scale
        )
        base = point.depth_tokens
    if point.prompt_tokens is None:
        return ExactPrompt(body, depth, Fit(0), nonce)

    def count_whole(cut: Fit) -> int:
        return count(ExactPrompt(body, depth, cut, nonce).whole(nonce))

    new = prompts.fit(count_whole, point.depth_tokens + point.prompt_tokens, base, scale)
    return ExactPrompt(body, depth, new, nonce)


def _scale(trial: Trial, body: Body, nonce: str, count: Count) -> Scale:
    """Count sample words. Synthetic text consists of the nonce's words, so those are enough."""
    alone = Scale(count(nonce), 0)
    if trial.job.text == "synthetic":
        return Scale(alone.nonce_tokens, alone.nonce_tokens + SAMPLE_WORDS * alone.per_filler)
    return Scale(alone.nonce_tokens, count(nonce + body.cut(Fit(SAMPLE_WORDS))))


def _counting(sender: RequestSender, name: str, nonce: str) -> Count:
    def count(text: str) -> int:
        request = RequestPlan(
            point=name,
            prompt=text,
            nonce=nonce,
            output_tokens=1,
            warmup=True,
            reuse=True,
            reused_tokens=None,
        )
        tokens = sender.send(request).prompt_tokens
        if tokens is None:
            raise RequestRefused(
                "the engine reports no token count for a prompt, so fleet cannot make a prompt of "
                "an exact length",
                "give the job a text: prompt, prompt_file or turns",
            )
        return tokens

    return count
