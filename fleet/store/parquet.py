"""Results as Parquet files that any reader can open; each attempt is there once, whole."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fleet.durable import make_private
from fleet.errors import StoreUnusable, Unstorable, check_store_path
from fleet.model.measure import TrialResult
from fleet.ports import PastAttempt
from fleet.store import codec, damage, generation, history, pack
from fleet.store.codec import Rows
from fleet.store.publish import locked, publish, replace_text, usable
from fleet.store.rows import blank, rows_of
from fleet.store.schema import TABLES


class ParquetStore:
    """The results folder. One object may be used by one thread; folders by many processes.

    With `read_only` nothing is made or mended, and a folder that is not there is an empty store.
    Every call raises StoreUnusable where the folder does not do what a store needs.
    """

    def __init__(self, folder: Path, *, views_sql: str = "", read_only: bool = False) -> None:
        check_store_path(str(folder.resolve()))
        self.folder = folder
        self._read_only = read_only
        self._staging = folder / "staging"
        self._past: dict[tuple[str, str], list[history.Past]] = {}
        self._packed: dict[str, Mapping[str, object]] = {}
        self._with_answers: dict[str, frozenset[str]] = {}
        self._pack_above = pack.MOST_WAITING
        if not read_only:
            self._open(views_sql)

    def write(self, result: TrialResult) -> None:
        """Durable on return; writing the same measurement again changes nothing.

        Raises Unstorable for a result with a value that no column can hold.
        """
        try:
            rows = rows_of(result)
        except (ArithmeticError, TypeError, ValueError) as problem:
            raise Unstorable(f"the result has no form as rows: {problem}") from None
        self.write_rows(result.attempt_id, rows)

    def write_rows(self, attempt_id: str, rows: Rows) -> bool:
        """As `write`, for rows made elsewhere; False where they were there already.

        What another submission measured as the same attempt is kept beside it, as an attempt of
        its own name: it may have waited on a node for another store.
        """
        submission = rows["trials"][0]["submission_id"]
        with self._writing() as now:
            holders = self._holders(now, attempt_id)
            if holders and submission not in holders:
                attempt_id = f"{attempt_id}-of-{submission or 'unknown'}"
                rows = _renamed(rows, attempt_id)
                holders = self._holders(now, attempt_id)
            if holders:
                return False
            publish(_encoded(now, attempt_id, rows), self._staging)
            waiting = len(generation.waiting(now))
        if waiting > self._pack_above:
            self._pack_if_possible(waiting)
        return True

    def add_readings(self, name: str, rows: Sequence[codec.Row]) -> None:
        """Add readings from a source of its own to attempts that are here already.

        They lie in a file of this name beside those of the attempts; it is never packed.
        """
        with self._writing() as now:
            path = now / "readings" / f"{name}.parquet"
            whole = [{**blank("readings"), **row} for row in rows]
            publish({path: codec.encode_rows("readings", whole)}, self._staging)

    def add_answers(self, attempt_id: str, rows: Sequence[codec.Row]) -> bool:
        """Texts of an attempt that is here already; False where it has some."""
        with self._writing() as now:
            path = now / "answers" / f"{attempt_id}.parquet"
            packed = map(self._answered, generation.packs(now, "answers"))
            if path.exists() or any(attempt_id in ids for ids in packed):
                return False
            whole = [{**blank("answers"), **row} for row in rows]
            publish({path: codec.encode_rows("answers", whole)}, self._staging)
        return True

    def pack(self, force: bool = False) -> int:
        """Pack waiting attempts and return their number: none while few wait, unless `force`."""
        with self._writing() as now:
            if not force and len(generation.waiting(now)) <= pack.MOST_WAITING:
                return 0
            packed = pack.pack(self.folder, now)
            generation.tidy(self.folder, self._staging)
        return packed

    def verify(self) -> damage.Verified:
        """Read every file whole, and name what is damaged or foreign; nothing is changed."""
        with usable(self.folder):
            try:
                return damage.verify(self.folder)
            except FileNotFoundError:  # a packer elsewhere has removed this generation
                return damage.verify(self.folder)

    def repair(self) -> damage.Repaired:
        """Set aside what is damaged or foreign, so that the rest can be read."""
        with self._writing():
            return damage.set_aside(self.folder, damage.verify(self.folder))

    def attempts(self, experiment: str) -> Sequence[PastAttempt]:
        """Every attempt of one experiment, imported ones left out."""
        attempts = [history.as_attempt(row) for row in self._rows(experiment)]
        return sorted(attempts, key=lambda attempt: (attempt.trial_id, attempt.fence))

    def past_seconds(self, experiment: str) -> Mapping[history.Cell, float]:
        """Median seconds of a trial that went well, by `Trial.cell()`."""
        return history.seconds_per_cell(self._rows(experiment))

    def models(self, experiment: str) -> Sequence[str]:
        """Names of the models of an experiment's attempts, as they were typed."""
        return sorted({row["model"] for row in self._rows(experiment)})

    def models_by_experiment(self) -> Mapping[str, Sequence[str]]:
        """Return the models of each measured experiment; imported ones are left out."""
        with usable(self.folder):
            try:
                return history.models_by_experiment(self._files(self._current()))
            except FileNotFoundError:  # a packer elsewhere has removed this generation
                return history.models_by_experiment(self._files(self._current()))

    def last_session(self, experiment: str) -> int | None:
        """None where the experiment has no attempt yet."""
        sessions = (row["session"] or 0 for row in self._rows(experiment))
        return max(sessions, default=None)

    def _open(self, views_sql: str) -> None:
        with usable(self.folder):
            make_private(self.folder)
            self._staging.mkdir(exist_ok=True)
            self._recover()
            if generation.current(self.folder) is None:
                self._make_first()
        with self._writing() as now:
            if not generation.has_newest_schema(now):
                generation.build(self.folder, generation.after(now), base=now)
            if views_sql:
                replace_text(self.folder / "views.sql", views_sql)

    def _make_first(self) -> None:
        with locked(self.folder / "lock"):
            if generation.current(self.folder) is None:
                generation.build(self.folder, self.folder / "gen-000001")

    def _recover(self) -> None:
        """Remove what a dead writer left; a living one holds the lock and is left alone."""
        with locked(self.folder / "lock", wait=False) as free:
            if free:
                generation.tidy(self.folder, self._staging)

    @contextmanager
    def _writing(self) -> Iterator[Path]:
        """Hold the lock, and yield the current generation."""
        if self._read_only:
            raise StoreUnusable(f"{self.folder} was opened for reading only")
        with usable(self.folder), locked(self.folder / "lock"):
            self._staging.mkdir(exist_ok=True)
            now = generation.current(self.folder)
            if now is None:
                raise StoreUnusable(
                    f"{self.folder} holds no results any more",
                    "was it moved or emptied? start the command again",
                )
            yield now

    def _holders(self, now: Path, attempt_id: str) -> list[object]:
        """Return the submissions that measured this attempt here.

        None stands for a row without a submission, or for a file that cannot be read.
        """
        own = now / "trials" / f"{attempt_id}.parquet"
        if own.exists():
            with suppress(StoreUnusable):
                return list(_submissions(own).values())
            return [None]
        packs = map(self._of_pack, generation.packs(now))
        return [pack[attempt_id] for pack in packs if attempt_id in pack]

    def _of_pack(self, path: Path) -> Mapping[str, object]:
        """Submissions by attempt, read once: a pack never changes."""
        if path.name not in self._packed:
            self._packed[path.name] = _submissions(path)
        return self._packed[path.name]

    def _answered(self, path: Path) -> frozenset[str]:
        """Return the attempts with kept answers in one pack, which is read once."""
        if path.name not in self._with_answers:
            ids = codec.read(path, "answers", ["attempt_id"])["attempt_id"].to_pylist()
            self._with_answers[path.name] = frozenset(ids)
        return self._with_answers[path.name]

    def _pack_if_possible(self, waiting: int) -> None:
        """After a write that is done already: what hinders packing must not look like its loss."""
        try:
            self.pack()
            left = len(generation.waiting(self._current()))
        except StoreUnusable:
            left = waiting
        self._pack_above = left + pack.MOST_WAITING

    def _current(self) -> Path:
        return generation.current(self.folder) or self.folder / "gen-000000"

    def _rows(self, experiment: str) -> list[history.Past]:
        """Read again where a packer elsewhere removes the old generation meanwhile."""
        with usable(self.folder):
            try:
                return self._rows_of(self._current(), experiment)
            except FileNotFoundError:
                return self._rows_of(self._current(), experiment)

    def _files(self, now: Path) -> list[Path]:
        if not now.is_dir():
            return []
        waiting = (now / "trials" / f"{attempt}.parquet" for attempt in generation.waiting(now))
        return [*generation.packs(now), *waiting]

    def _rows_of(self, now: Path, experiment: str) -> list[history.Past]:
        files = self._files(now)
        for path in files:
            if (path.name, experiment) not in self._past:
                self._past[path.name, experiment] = history.read_past(path, experiment)
        return [row for path in files for row in self._past[path.name, experiment]]


def _submissions(path: Path) -> dict[str, object]:
    """Return the submission of each attempt in one file."""
    rows = codec.read(path, "trials", ["attempt_id", "submission_id"]).to_pylist()
    return {row["attempt_id"]: row["submission_id"] for row in rows}


def _encoded(now: Path, attempt_id: str, rows: Rows) -> dict[Path, bytes]:
    """Return the files of an attempt; that of its trial, the last one, knows the others."""
    files: dict[str, bytes] = {}
    for table in TABLES:
        if rows.get(table):
            others = files if table == "trials" else None
            files[table] = codec.encode_rows(table, rows[table], others)
    return {now / table / f"{attempt_id}.parquet": content for table, content in files.items()}


def _renamed(rows: Rows, attempt_id: str) -> Rows:
    return {t: [{**row, "attempt_id": attempt_id} for row in copies] for t, copies in rows.items()}
