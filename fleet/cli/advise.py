"""fleet advise: which machines would run a model at a rate, and what that would cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from fleet.cli import options, output

if TYPE_CHECKING:
    from fleet.advisor.advice import Candidate, Upgrade, Wish

EPILOG = """\b
    fleet advise --model gpt-oss:120b --context 32k --decode 40
    fleet advise --model qwen3:32b --decode 20 --price "M4 Max 64 GB=3200"
    fleet advise --model gpt-oss:120b --decode 40 --from studio-96

The rate is reached at half of the context, on the GPU alone. Exit code 1 if no machine would do.
"""

Model = Annotated[str, typer.Option("--model", help="A model, named as for fleet fit.")]
Context = Annotated[str, typer.Option("--context", help="Tokens: 32768 or 32k.")]
Decode = Annotated[float, typer.Option("--decode", help="Tokens per second to reach.")]
Price = Annotated[
    list[str] | None, typer.Option("--price", help="'M3 Ultra 96 GB=4500'; may be repeated.")
]
ApiPrice = Annotated[
    float | None, typer.Option("--api-price", help="Price of an API for a million tokens.")
]
From = Annotated[
    str | None, typer.Option("--from", help="A measured machine to compare the others with.")
]
Slots = Annotated[int, typer.Option("--parallel", min=1, help="Concurrent requests.")]
All = Annotated[bool, typer.Option("--all", help="Every size, and every number of cards.")]


# parameters: each is an option of the command
def advise(
    model: Model,
    decode: Decode,
    context: Context = "32k",
    price: Price = None,
    api_price: ApiPrice = None,
    from_: From = None,
    parallel: Slots = 1,
    every: All = False,
    home: options.Home = None,
    store: options.Stores = None,
    json: options.Json = False,
) -> None:
    """List the machines that would run a model at this rate."""
    from fleet.advisor import advice, machines
    from fleet.app import advise as app

    _check_amounts(decode, api_price)
    wish = _wish(model, context, decode, parallel)
    upgrade, notes = app.upgrade_from(options.homes(home, store), from_, model)
    prices = _prices(price or ())
    candidates = advice.advise(
        wish, machines.CATALOGUE, prices=prices, api_price=api_price, upgrade=upgrade
    )
    selection = candidates if every else _shortened(candidates, set(prices))
    _print(wish, selection, upgrade, notes, json=json)
    raise typer.Exit(0 if candidates else 1)


def _check_amounts(decode: float, api_price: float | None) -> None:
    from fleet.errors import UserError

    if not 0 < decode < 1e6:
        raise UserError(f"--decode {decode:g} is not a rate", "give tokens per second: 40")
    if api_price is not None and not 0 < api_price < 1e6:
        raise UserError(f"--api-price {api_price:g} is not a price")


def _wish(model: str, context: str, decode: float, slots: int) -> Wish:
    from fleet.advisor import advice
    from fleet.advisor.setup import Setup
    from fleet.app.fit import shape_of
    from fleet.cli.fit import tokens

    shape = shape_of(model)
    setup = Setup(context=tokens(context), slots=slots, runner=advice.runner_for(shape))
    return advice.Wish(shape=shape, setup=setup, decode=decode)


def _shortened(candidates: Sequence[Candidate], priced: set[str]) -> list[Candidate]:
    """Return the smallest of each kind, and all that have a price."""
    from fleet.advisor import advice

    distinct = advice.distinct(candidates)
    return [
        candidate
        for candidate in candidates
        if candidate in distinct or (priced and candidate.price is not None)
    ]


def _prices(words: Sequence[str]) -> dict[str, float]:
    """Return the prices by the name that the catalogue gives each machine."""
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
            raise UserError(
                f"--price {word!r} is not understood", "write --price 'M3 Ultra 96 GB=4500'"
            )
        prices[machines.read(name).name] = amount
    return prices


def _print(
    wish: Wish,
    candidates: Sequence[Candidate],
    upgrade: Upgrade | None,
    notes: Sequence[str],
    *,
    json: bool,
) -> None:
    from fleet.report import advice_text

    if json:
        options.print_json([advice_text.candidate_data(candidate) for candidate in candidates])
    else:
        output.emit(advice_text.advice_lines(wish, candidates, upgrade, notes))
