"""An S3 server that somebody else wrote (moto), in this process, whose answers can be disturbed."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import boto3
import httpx
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "a-key",
    "AWS_SECRET_ACCESS_KEY": "a-secret-that-is-never-shown",
    "AWS_REGION": "us-east-1",
    "AWS_ALLOW_HTTP": "true",
}
_buckets = itertools.count(1)


class Quiet(WSGIRequestHandler):
    def log(self, type: str, message: str, *args: Any) -> None:
        pass


class S3Server:
    """One at a time, as S3 itself decides between writers: the double looks and writes apart.

    `ignores_conditions`: PUT overwrites, whatever it was asked. `lost`: of so many PUTs to come
    that succeed the answer is replaced by status 500. `puts` counts PUTs by key, `lists` lists.
    """

    def __init__(self) -> None:
        self._application = DomainDispatcherApplication(create_backend_app)
        self._turn = threading.Lock()
        self._server = make_server(
            "127.0.0.1", 0, self._answer, threaded=True, request_handler=Quiet
        )
        self.url = f"http://127.0.0.1:{self._server.port}"
        self.environment = {**CREDENTIALS, "AWS_ENDPOINT_URL": self.url}
        self.calm()

    def calm(self) -> None:
        self.ignores_conditions, self.lost = False, 0
        self.puts, self.lists = Counter[str](), 0

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        with self._turn:
            put = environ["REQUEST_METHOD"] == "PUT"
            if put:
                self.puts[environ["PATH_INFO"].rpartition("/")[2]] += 1
            if put and self.ignores_conditions:
                environ.pop("HTTP_IF_NONE_MATCH", None)
            self.lists += "list-type" in environ["QUERY_STRING"]
            answer: list[Any] = []
            body = list(self._application(environ, lambda *given: answer.extend(given)))
            if put and self.lost and answer[0].startswith("200"):
                self.lost -= 1
                start("500 Internal Server Error", [("content-length", "0")])
                return [b""]
            start(*answer)
            return body

    @contextmanager
    def running(self) -> Iterator[S3Server]:
        thread = threading.Thread(target=self._server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            thread.join()
            self._server.server_close()

    def client(self) -> Any:
        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id="a-key",
            aws_secret_access_key="x",
            region_name="us-east-1",
        )

    def bucket(self) -> str:
        """A new one."""
        name = f"audit-{next(_buckets)}"
        self.client().create_bucket(Bucket=name)
        return name

    @contextmanager
    def knowing_its_users(self) -> Iterator[None]:
        """From now on only keys that it has made are let in; it has made none."""
        httpx.post(f"{self.url}/moto-api/reset-auth", content=b"0").raise_for_status()
        try:
            yield
        finally:
            httpx.post(f"{self.url}/moto-api/reset-auth", content=b"1e9").raise_for_status()
