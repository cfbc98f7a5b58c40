"""The head's Jobs interface from anywhere: no Ray here, plain HTTP through an SSH tunnel.

The coordinator runs on the head as a Ray job, so closing the laptop changes nothing. Calls are
those of Ray's Jobs REST interface, with the fleet's token as a bearer.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Literal, Self, get_args

import httpx

from fleet.dispatch.access import TOKEN_MEND
from fleet.errors import FleetUnreachable, UserError
from fleet.ports import Stop

REQUEST_S = 15.0
POLL_S = 1.0
RETRY_S = 30.0
"""A follower rides over an outage of this length; the job does not notice any."""
HEAD_MEND = "fleet status on the head tells more; is the head up, and this ssh line right?"

State = Literal["PENDING", "RUNNING", "STOPPED", "SUCCEEDED", "FAILED"]
ENDED = frozenset({"STOPPED", "SUCCEEDED", "FAILED"})


class Jobs:
    """`base_url` as `http://127.0.0.1:8265`; every error is FleetUnreachable or UserError."""

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
        """Start a shell line on the head; raises UserError where the id was used before."""
        body: dict[str, Any] = {"entrypoint": entrypoint, "submission_id": submission_id}
        if environment:
            body["runtime_env"] = {"env_vars": dict(environment)}
        if metadata:
            body["metadata"] = dict(metadata)
        return str(self._call("POST", "", json=body)["submission_id"])

    def state(self, submission_id: str) -> State:
        told = self._call("GET", submission_id).get("status")
        for known in get_args(State):
            if told == known:
                return known  # type: ignore[no-any-return]
        raise FleetUnreachable(f"{self._url}: unknown job state {told!r}", HEAD_MEND)

    def exit_code(self, submission_id: str) -> int | None:
        """Of a job that ended by itself; None where Ray does not tell."""
        code = self._call("GET", submission_id).get("driver_exit_code")
        return code if isinstance(code, int) else None

    def message(self, submission_id: str) -> str:
        """Ray's word on how the job ended."""
        return str(self._call("GET", submission_id).get("message") or "")

    def log(self, submission_id: str) -> str:
        """Everything the job has printed so far."""
        return str(self._call("GET", f"{submission_id}/logs").get("logs") or "")

    def follow(self, submission_id: str, stop: Stop) -> Iterator[str]:
        """Whole lines the job prints, as they come, until it ends or `stop` is set.

        Ray's own lines on the job stand among them, at no certain place. Rides over an
        outage of up to 30 s; raises FleetUnreachable after it.
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

    def stop(self, submission_id: str) -> None:
        """Ask the job to end (SIGTERM, SIGKILL 3 s later); one that ended is no error."""
        self._call("POST", f"{submission_id}/stop")

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.close()

    def _call(self, method: str, path: str, json: object = None) -> dict[str, Any]:
        try:
            reply = self._client.request(method, path, json=json)
        except httpx.TransportError as problem:
            why = str(problem) or type(problem).__name__
            what = f"{self._url}: the head's Jobs interface does not answer ({why})"
            raise FleetUnreachable(what, HEAD_MEND) from None
        if reply.status_code in (401, 403):
            raise UserError(f"{self._url}: the head refuses this token", TOKEN_MEND)
        if reply.status_code >= 400:
            raise self._complaint(reply, path)
        told = reply.json()
        return told if isinstance(told, dict) else {}

    def _complaint(self, reply: httpx.Response, path: str) -> UserError | FleetUnreachable:
        text = " ".join(reply.text.split()[-40:])
        if reply.status_code == 404:
            return UserError(f"{self._url}: no job {path.split('/')[0]!r} there", "fleet status")
        if "already" in reply.text:
            return UserError("a job of this id was submitted before", "fleet status")
        return FleetUnreachable(f"{self._url}: HTTP {reply.status_code}: {text}", HEAD_MEND)
