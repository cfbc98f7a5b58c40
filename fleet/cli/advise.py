"""fleet advise: which machines would run a model at a rate, and what that would cost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli import options, output

if TYPE_CHECKING:
    from fleet.advisor.advice import Candidate, Upgrade, Wish

EPILOG = """\b
    fleet advise --model gpt-oss:120b --context 32k --decode 40
    fleet advise --model qwen3:32b --decode 20 --price "M4 Max 64 GB=3200"
    fleet advise --model gpt-oss:120b --decode 40 --from studio-96

A rate is at half of the context, on the GPU alone. Exit code 1 where nothing would do.
"""

SHOWN = 24

Model = Annotated[str, typer.Option("--model", help="As fleet fit reads it.")]
Context = Annotated[str, typer.Option("--context", help="Tokens: 32768 or 32k.")]
Decode = Annotated[float, typer.Option("--decode", help="Tokens per second to reach.")]
Price = Annotated[
    list[str] | None, typer.Option("--price", help="'M3 Ultra 96 GB=4500'; several times.")
]
ApiPrice = Annotated[
    float | None, typer.Option("--api-price", help="What an API takes for a million tokens.")
]
From = Annotated[
    str | None, typer.Option("--from", help="A machine of the store, to compare with.")
]
Slots = Annotated[int, typer.Option("--parallel", min=1, help="Requests at once.")]
All = Annotated[bool, typer.Option("--all", help="Every size, and every number of cards.")]


def advise(
    model: Model,
    decode: Decode,
    context: Context = "32k",
    price: Price = None,
    api_price: ApiPrice = None,
    from_: From = None,
    parallel: Slots = 1,
    every: All = False,
    store: options.Stores = None,
    json: options.Json = False,
) -> None:
    """List the machines that would run a model at this rate."""
    from fleet.advisor import advice, machines
    from fleet.advisor.setup import Setup
    from fleet.app import advise as advising
    from fleet.cli.fit import tokens
    from fleet.errors import UserError

    if not 0 < decode < 1e6:
        raise UserError(f"--decode {decode:g} is no rate", "name tokens per second: 40")
    if api_price is not None and not 0 < api_price < 1e6:
        raise UserError(f"--api-price {api_price:g} is no price")
    shape = advising.shape_of(model)
    setup = Setup(context=tokens(context), slots=parallel, runner=advice.runner_for(shape))
    wish = advice.Wish(shape=shape, setup=setup, decode=decode)
    upgrade, notes = _upgrade(from_, model, store)
    prices = _prices(price or ())
    candidates = advice.advise(
        wish, machines.CATALOGUE, prices=prices, api_price=api_price, upgrade=upgrade
    )
    selection = candidates if every else _shortened(candidates, set(prices))
    if json:
        options.print_json([_data(candidate) for candidate in selection])
    else:
        output.emit(_lines(wish, selection, upgrade, notes))
    raise typer.Exit(0 if candidates else 1)


def _shortened(candidates: Sequence[Candidate], priced: set[str]) -> list[Candidate]:
    """The smallest of each kind, and all that have a price."""
    from fleet.advisor import advice

    kept = advice.distinct(candidates)
    return [
        candidate
        for candidate in candidates
        if candidate in kept or (priced and candidate.price is not None)
    ]


def _upgrade(
    name: str | None, model: str, store: list[str] | None
) -> tuple[Upgrade | None, tuple[str, ...]]:
    from fleet.advisor.advice import Upgrade
    from fleet.app import advise as advising
    from fleet.model.machine import full_model_name

    if name is None:
        return None, ()
    machine = advising.machine_of_store(options.folders(store), name)
    anchors, notes = advising.anchors_of(machine)
    name_in_full = full_model_name(model)
    rates = [rate for key, rate in machine.rates.items() if full_model_name(key) == name_in_full]
    usable = {anchor.measured for anchor in anchors}
    rate = next((rate for rate in rates if rate in usable), None)
    return Upgrade(box=machine.box, rate=rate, anchors=anchors), notes


def _prices(words: Sequence[str]) -> dict[str, float]:
    """By the name that the catalogue gives the machine."""
    from fleet.advisor import machines
    from fleet.errors import UserError

    prices = {}
    for word in words:
        name, equals, text = word.rpartition("=")
        try:
            amount = float(text)
        except ValueError:
            amount = -1.0
        if not equals or not 0 < amount < 1e9:
            raise UserError(f"--price {word!r}", "write it so: --price 'M3 Ultra 96 GB=4500'")
        prices[machines.read(name).name] = amount
    return prices


def _lines(
    wish: Wish, candidates: Sequence[Candidate], upgrade: Upgrade | None, notes: Sequence[str]
) -> Iterator[str]:
    from fleet.report.fit_text import wrapped
    from fleet.report.tables import aligned

    yield (
        f"{wish.shape.name}: {wish.decode:g} tokens/s with a context of {wish.setup.context}, "
        f"{wish.depth} tokens deep"
    )
    for note in notes:
        yield from wrapped(note)
    if upgrade is not None:
        yield f"  {_baseline(wish, upgrade)}"
    if not candidates:
        yield "no machine of the catalogue would do"
        return
    titles = ["machine", "does", "fit", "tokens/s", "times", "price", "pays after"]
    rows = [_row(candidate) for candidate in candidates[:SHOWN]]
    yield ""
    yield from aligned(titles, rows, right=("times", "price"), indent="  ")
    if len(candidates) > SHOWN:
        yield f"  and {len(candidates) - SHOWN} more: --json has them all"
    yield ""
    decides = dict.fromkeys(
        f"{candidate.answer}: {candidate.decides}" for candidate in candidates if candidate.decides
    )
    yield from (f"  what decides, {line}" for line in decides)
    yield "  modelled, from fitted constants; yes: the slow end of the interval reaches it"


def _baseline(wish: Wish, upgrade: Upgrade) -> str:
    from fleet.advisor.advice import origin_of

    origin = origin_of(wish, upgrade)
    return f"times: against {upgrade.box.name}, {origin.value if origin else 'unknown'}"


def _row(candidate: Candidate) -> list[str]:
    rate = candidate.rate
    speed = f"{rate.value:.0f} ({rate.low:.0f}-{rate.high:.0f})" if rate else "unknown"
    days = candidate.break_even_days
    return [
        candidate.box.name,
        candidate.answer.value,
        candidate.fit.verdict.value,
        speed,
        f"{candidate.upgrade:.1f}" if candidate.upgrade else "",
        f"{candidate.price:.0f}" if candidate.price else "",
        f"{days:.0f} days" if days else "",
    ]


def _data(candidate: Candidate) -> dict[str, object]:
    from fleet.cli.fit_data import amount

    return {
        "machine": candidate.box.name,
        "answer": candidate.answer.value,
        "fit": candidate.fit.verdict.value,
        "decode": amount(candidate.rate) if candidate.rate else None,
        "decides": candidate.decides or None,
        "times": candidate.upgrade,
        "price": candidate.price,
        "break_even_tokens": candidate.break_even_tokens,
        "break_even_days": candidate.break_even_days,
    }


def add(app: typer.Typer) -> None:
    app.command(epilog=EPILOG)(advise)
