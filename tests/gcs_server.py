"""A Google Cloud Storage on this machine: objects with generations, by the XML API.

Emulators that exist speak the JSON API alone, which obstore does not use for objects.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape


class Blob(NamedTuple):
    data: bytes
    generation: int
    meta: dict[str, str]


Fault = Callable[[str, str], str]
"""From method and object to what goes wrong: "" nothing, or

- "lost": it is done, and the answer never comes;
- "blind": it is done whatever its condition says;
- a status such as "503": it is not done.
"""


class Bucket:
    """The one bucket: name to object.

    Attributes:
        asked: Method and object of each request.
        fault: What goes wrong.
    """

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []
        self.fault: Fault = lambda method, name: ""
        self.lock = threading.Lock()
        self.blobs: dict[str, Blob] = {}
        self.generation = time.time_ns() // 1000

    def put(self, name: str, blob: Blob, condition: str | None) -> Blob | None:
        with self.lock:
            there = self.blobs.get(name)
            if condition is not None and int(condition) != (there.generation if there else 0):
                return None
            self.generation += 1
            self.blobs[name] = blob._replace(generation=self.generation)
            return self.blobs[name]

    def delete(self, name: str) -> bool:
        with self.lock:
            return self.blobs.pop(name, None) is not None

    def listing(self, prefix: str, delimiter: str) -> str:
        with self.lock:
            found = sorted((n, b) for n, b in self.blobs.items() if n.startswith(prefix))
        folders, files = {}, []
        for name, blob in found:
            head, mark, _ = name[len(prefix) :].partition(delimiter or "\0")
            if mark:
                folders[prefix + head + mark] = None
            else:
                files.append(
                    f"<Contents><Key>{escape(name)}</Key><Size>{len(blob.data)}</Size>"
                    f"<ETag>&quot;{blob.generation}&quot;</ETag>"
                    "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
                )
        prefixes = (
            f"<CommonPrefixes><Prefix>{escape(f)}</Prefix></CommonPrefixes>" for f in folders
        )
        return f"<ListBucketResult>{''.join(files)}{''.join(prefixes)}</ListBucketResult>"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    bucket: Bucket

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _name(self) -> str:
        return unquote(urlsplit(self.path).path).lstrip("/").partition("/")[2]

    def _failed(self, name: str) -> str:
        self.bucket.asked.append((self.command, name))
        fault = self.bucket.fault(self.command, name)
        if fault.isdigit():
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer(int(fault))
        return fault

    def _answer(self, status: int, data: bytes = b"", blob: Blob | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        if blob is not None:
            self.send_header("ETag", f'"{blob.generation}"')
            self.send_header("x-goog-generation", str(blob.generation))
            self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
            for key, value in blob.meta.items():
                self.send_header(key, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def do_GET(self) -> None:
        name = self._name()
        if self._failed(name):
            return
        if not name:
            asked = parse_qs(urlsplit(self.path).query)
            text = self.bucket.listing(
                asked.get("prefix", [""])[0], asked.get("delimiter", [""])[0]
            )
            self._answer(200, text.encode())
            return
        blob = self.bucket.blobs.get(name)
        if blob is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code><Message>no</Message></Error>")
        else:
            self._answer(200, blob.data, blob)

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        fault = self._failed(self._name())
        if fault.isdigit():
            return
        data = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        meta = {
            k.lower(): v for k, v in self.headers.items() if k.lower().startswith("x-goog-meta-")
        }
        condition = None if fault == "blind" else self.headers.get("x-goog-if-generation-match")
        blob = self.bucket.put(self._name(), Blob(data, 0, meta), condition)
        if fault == "lost":
            self.close_connection = True
        elif blob:
            self._answer(200, b"", blob)
        else:
            self._answer(412)

    def do_DELETE(self) -> None:
        if not self._failed(self._name()):
            self._answer(204 if self.bucket.delete(self._name()) else 404)


@contextmanager
def gcs_server() -> Iterator[tuple[str, Bucket]]:
    """Serves a bucket: its address, and what is in it."""
    bucket = Bucket()
    handler = type("Handler", (_Handler,), {"bucket": bucket})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", bucket
        finally:
            server.shutdown()
            thread.join()
