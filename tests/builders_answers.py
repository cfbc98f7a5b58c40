"""Golden results folders in which the text of some answers was kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fleet.answers.nouns import Reference
from fleet.store.schema import TABLES
from tests.builders_compare import GoldenStore, Row, request

FIXED = '{"fixed_prompt":true,"keep_text":true,"load":"request","name":"chat","prompt":"why?"}'


@dataclass
class AnsweredStore(GoldenStore):
    """`said(...)` adds a trial of one request with an answer; `kept=False` keeps only its hash."""

    answers: list[Row] = field(default_factory=list)

    def said(
        self,
        name: str,
        answer: str,
        thinking: str | None = None,
        *,
        kept: bool = True,
        ask: Mapping[str, Any] | None = None,
        **columns: Any,
    ) -> str:
        output = sha256(f"{thinking}/{answer}".encode()).hexdigest()
        asked = request(**{"nonce": "", "output_sha256": output, "concurrency": 1, **(ask or {})})
        trial = {"temperature": 0.0, "job_content": FIXED, "role": "measure", **columns}
        attempt = self.trial(name, requests=[asked], **trial)
        if kept:
            row = {"attempt_id": attempt, "request": 0, "answer": answer, "thinking": thinking}
            self.answers.append(row)
        return attempt

    def write(self, folder: Path, files: int = 1) -> Path:
        super().write(folder, files)
        table = pa.Table.from_pylist(self.answers, schema=TABLES["answers"])
        pq.write_table(table, folder / "current" / "answers" / "part-0.parquet")
        return folder


def reference(text: str = "gold is yellow", **changes: Any) -> Reference:
    return Reference(**{"name": "elsewhere", "text": text, "file": "elsewhere.txt", **changes})
