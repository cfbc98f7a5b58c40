"""Speak to the head's Jobs interface from anywhere: plain HTTP through an SSH tunnel, no Ray.

The coordinator runs on the head as a Ray job, so closing the laptop changes nothing. The calls are
those of Ray's Jobs REST interface, with the fleet's token as the bearer token.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, Self, get_args

import httpx

from fleet.dispatch.access import TOKEN_HINT
from fleet.errors import FleetUnreachable, UserError
from fleet.ports import Stop

REQUEST_S = 15.0
POLL_S = 1.0
RETRY_S = 30.0
"""A follower survives an outage of this length; the job does not notice one."""
HEAD_HINT = "check that the head is up and the ssh address is right; on the head: fleet status"

LISTED = "10000"
"""Rows of the state interface in one answer; Ray allows no more."""

State = Literal["PENDING", "RUNNING", "STOPPED", "SUCCEEDED", "FAILED"]
ENDED = frozenset({"STOPPED", "SUCCEEDED", "FAILED"})


class Jobs:
    """A client of the Jobs interface at `base_url`, for example `http://127.0.0.1:8265`.

    Every error is FleetUnreachable or UserError.
    """

    def __init__(self, base_url: str, token: str) -> None:
        self._url = base_url.rstrip("/")
        self._client = httpx.Client(
            base_url=f"{self._url}/api/jobs/",
            headers={"Authorization": f"Bearer {token}"},
            timeout=REQUEST_S,
            trust_env=False,
            verify=False,  # plain HTTP: no certificate is read, whatever SSL_CERT_FILE says
        )

    def submit(
        self,
        entrypoint: str,
        submission_id: str,
        *,
        environment: Mapping[str, str] | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> str:
        """Start a shell line on the head; raise UserError if the id was used before."""
        body: dict[str, Any] = {"entrypoint": entrypoint, "submission_id": submission_id}
        if environment:
            body["runtime_env"] = {"env_vars": dict(environment)}
        if metadata:
            body["metadata"] = dict(metadata)
        return str(self._call("POST", "", json=body)["submission_id"])

    def state(self, submission_id: str) -> State:
        """Return the state of a job."""
        status = self._call("GET", submission_id).get("status")
        for known in get_args(State):
            if status == known:
                return known  # type: ignore[no-any-return]
        raise FleetUnreachable(f"{self._url}: unknown job state {status!r}", HEAD_HINT)

    def exit_code(self, submission_id: str) -> int | None:
        """Return the exit code of a job that ended by itself, or None if Ray does not give it."""
        code = self._call("GET", submission_id).get("driver_exit_code")
        return code if isinstance(code, int) else None

    def message(self, submission_id: str) -> str:
        """Return Ray's message on how the job ended."""
        return str(self._call("GET", submission_id).get("message") or "")

    def log(self, submission_id: str) -> str:
        """Return everything that the job has printed so far."""
        return str(self._call("GET", f"{submission_id}/logs").get("logs") or "")

    def follow(self, submission_id: str, stop: Stop) -> Iterator[str]:
        """Yield whole lines as the job prints them, until it ends or `stop` is set.

        Ray's own lines on the job appear among them. An outage of up to 30 s is ridden out; a
        longer one raises FleetUnreachable.
        """
        seen = 0
        failing_since: float | None = None
        while True:
            try:
                ended = self.state(submission_id) in ENDED
                text = self.log(submission_id)
                failing_since = None
            except FleetUnreachable:
                failing_since = failing_since or time.monotonic()
                if time.monotonic() - failing_since > RETRY_S:
                    raise
                ended, text = False, ""
            whole = len(text) if ended else text.rfind("\n") + 1
            if whole > seen:
                yield text[seen:whole]
                seen = whole
            if ended or stop.wait(POLL_S):
                return

    def cluster_state(self, kind: Literal["nodes", "actors"]) -> list[dict[str, Any]]:
        """Return every node or actor that Ray's state interface lists, also those that ended."""
        path = f"/api/v0/{kind}"
        detail = "true" if kind == "nodes" else "false"  # of actors: their whole environment
        params = {"detail": detail, "limit": LISTED}
        reply = self._call("GET", f"{self._url}{path}", params=params)
        try:
            rows = reply["data"]["result"]["result"]
            return [row for row in rows if isinstance(row, dict)]
        except (KeyError, TypeError):
            raise self._not_ray(path) from None

    def stop(self, submission_id: str) -> None:
        """Ask the job to end (SIGTERM, and SIGKILL 3 s later), also if it has ended already."""
        self._call("POST", f"{submission_id}/stop")

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.close()

    def _call(
        self,
        method: str,
        path: str,
        json: object = None,
        params: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        try:
            reply = self._client.request(method, path, json=json, params=params)
        except httpx.TransportError as problem:
            why = str(problem) or type(problem).__name__
            what = f"{self._url}: the head's Jobs interface does not answer ({why})"
            raise FleetUnreachable(what, HEAD_HINT) from None
        if reply.status_code in (401, 403):
            raise UserError(f"{self._url}: the head refuses this token", TOKEN_HINT)
        if reply.status_code >= 400:
            raise self._complaint(reply, path)
        try:
            content = reply.json()
        except ValueError:
            raise self._not_ray(path.removeprefix(self._url)) from None
        return content if isinstance(content, dict) else {}

    def _not_ray(self, path: str) -> FleetUnreachable:
        return FleetUnreachable(f"{self._url}: the answer to {path} is not Ray's", HEAD_HINT)

    def _complaint(self, reply: httpx.Response, path: str) -> UserError | FleetUnreachable:
        text = " ".join(reply.text.split()[-40:])
        if reply.status_code == 404:
            return UserError(
                f"{self._url}: the head has no job {path.split('/')[0]!r}", "fleet status"
            )
        if "already" in reply.text:
            return UserError("a job with this id was submitted before", "fleet status")
        return FleetUnreachable(f"{self._url}: HTTP {reply.status_code}: {text}", HEAD_HINT)
