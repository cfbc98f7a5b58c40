"""The commands of a machine that is not here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fleet.ports import Output


class Recorded:
    """Commands with fixed answers."""

    def __init__(
        self, outputs: Mapping[str, str] | None = None, files: Mapping[str, str] | None = None
    ) -> None:
        self.outputs, self.files = outputs or {}, files or {}

    def run(self, argv: Sequence[str], deadline_s: float = 5.0) -> Output:
        text = self.outputs.get(" ".join(argv))
        return Output(code=None if text is None else 0, stdout=text or "", stderr="")

    def read(self, path: str) -> str | None:
        return self.files.get(path)
