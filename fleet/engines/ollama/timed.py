"""One timed request: connect first, then send, stamp, and read when all is over."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from fleet.engines.incoming import text
from fleet.engines.ollama.connection import Patience, Watch, Wire, body_of, open_client
from fleet.engines.ollama.failures import Place, classify, error_text, translated, unreachable
from fleet.engines.ollama.stream import LARGEST_ANSWER_BYTES, Arrivals, read_reply
from fleet.engines.reply_builder import Failure
from fleet.errors import EngineUnreachable, Interrupted, StreamBroken
from fleet.model.measure import Ask, Reply
from fleet.ports import Clock, Stop
from fleet.units import MIB, NS_PER_S


@dataclass(frozen=True, slots=True)
class TimedPath:
    """A client of its own for each request, so that no other thread shares its connection."""

    place: Place
    tls: ssl.SSLContext | None
    clock: Clock
    patience: Patience

    def ask(self, path: str, body: Mapping[str, object], ask: Ask, stop: Stop) -> Reply:
        """Send one request and time its answer.

        It raises EngineUnreachable before anything was sent, Interrupted once `stop` is set.
        """
        interrupted = Interrupted(f"stopped while {ask.model} was asked")
        if stop.is_set():
            raise interrupted
        arrivals, wire = Arrivals(), Wire(self.clock)
        connected = threading.Event()
        with (
            open_client(self.place.base_url, wire, self.tls, self._timeout()) as client,
            Watch(wire, stop, lambda: self._overdue(ask, wire, connected, arrivals)) as watch,
        ):
            try:
                self._connect(client)
                connected.set()
                request = client.build_request("POST", path, content=json.dumps(body).encode())
                failure = self._stream(client, request, arrivals)
                ended_ns = self.clock.monotonic_ns()
            except EngineUnreachable as problem:
                raise (interrupted if stop.is_set() else problem) from problem
        if watch.why:
            failure = (StreamBroken, watch.why)
        reply = read_reply(
            arrivals,
            api=ask.api,
            sent_ns=wire.sent_ns,
            ended_ns=ended_ns,
            keep_text=ask.keep_text,
            failure=failure,
        )
        if reply.error is not None and stop.is_set():
            raise interrupted
        return reply

    def _timeout(self) -> httpx.Timeout:
        return self.patience.timeout(self.patience.first_byte_s)

    def _connect(self, client: httpx.Client) -> None:
        """Open the connection with a small question, so that the timed one finds it open."""
        with translated(self.place):
            timeout = self.patience.timeout(self.patience.answer_s)
            with client.stream("GET", "/api/version", timeout=timeout) as response:
                body_of(response)

    def _stream(
        self, client: httpx.Client, request: httpx.Request, arrivals: Arrivals
    ) -> Failure | None:
        """Fill `arrivals`; return what went wrong after the request was sent, if anything did."""
        try:
            response = client.send(request, stream=True)
            try:
                if response.status_code != httpx.codes.OK:
                    status = response.status_code
                    message = error_text(body_of(response)) or f"status {status}"
                    return classify(status, message), message
                if not arrivals.collect(response.iter_raw(), self.clock.monotonic_ns):
                    return (
                        StreamBroken,
                        f"the answer is larger than {LARGEST_ANSWER_BYTES // MIB} MiB",
                    )
            finally:
                response.close()
        except (httpx.ConnectError, httpx.ConnectTimeout) as problem:
            raise unreachable(self.place, problem) from problem
        except httpx.TimeoutException:
            return StreamBroken, f"nothing came for {self.patience.first_byte_s:.0f} s"
        except httpx.TransportError as problem:
            return StreamBroken, f"the connection ended in mid-answer: {text(str(problem))}"
        except (httpx.DecodingError, ValueError) as problem:
            return StreamBroken, f"the error that came cannot be read: {text(str(problem))}"
        return None

    def _overdue(self, ask: Ask, wire: Wire, connected: threading.Event, arrivals: Arrivals) -> str:
        """Return why this request has waited long enough; empty while it may go on."""
        now_ns, patience = self.clock.monotonic_ns(), self.patience
        silence_s = (now_ns - arrivals.stamps[-1]) / NS_PER_S if arrivals.stamps else 0.0
        if silence_s > patience.silence_s:
            return f"nothing came for {patience.silence_s:.0f} s in mid-answer"
        answer_s = max(patience.whole_s, patience.token_s * ask.output_tokens)
        longest_s = patience.first_byte_s + answer_s if connected.is_set() else patience.version_s
        if wire.sent_ns and (now_ns - wire.sent_ns) / NS_PER_S > longest_s:
            return f"the answer did not end within {longest_s:.0f} s"
        return ""
