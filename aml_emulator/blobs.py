"""Blob storage as far as the SDK's uploads need it: files under one folder, their metadata, blocks of large files.

Listing and ranges are for its downloads. Not here: leases, snapshots, tags, any other account. May import: `errors`, `settings`, `wire`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import os
import re
import shutil
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from xml.sax.saxutils import escape

from aml_emulator.settings import CONTAINER, Settings
from aml_emulator.wire import FilePart, Reply, Request

ACCOUNT = re.compile(r"^aml\.blob\.[a-z0-9.-]+$", re.IGNORECASE)
RANGE = re.compile(r"bytes=(\d{1,18})-(\d{1,18})?")
MAX_BLOB = 8 * 1024**3


class StorageError(Exception):
    def __init__(self, status: int, code: str, message: str):
        super().__init__(message)
        self.status, self.code, self.message = status, code, message

    def reply(self, head: bool) -> Reply:
        error = f"<Error><Code>{self.code}</Code><Message>{escape(self.message)}</Message></Error>"
        text = f'<?xml version="1.0" encoding="utf-8"?>{error}'
        headers = {"x-ms-error-code": self.code, "x-ms-version": "2025-05-05"}
        return Reply(self.status, b"" if head else text.encode(), headers, "application/xml")


@dataclass(slots=True)
class Blob:
    etag: str
    metadata: dict[str, str] = field(default_factory=dict)
    modified: str = field(default_factory=lambda: formatdate(usegmt=True))


class Blobs:
    def __init__(self, settings: Settings):
        self.settings = settings
        folder = settings.state or settings.folder
        self.root, self.staging = folder / "blobs", folder / "blocks"
        self.known: dict[str, Blob] = {}

    # --- for the rest of the emulator -----------------------------------------------------------------------------

    def clear(self) -> None:
        self.known.clear()
        shutil.rmtree(self.root, ignore_errors=True)
        shutil.rmtree(self.staging, ignore_errors=True)

    def forget_unknown(self) -> None:
        """What lies there and is not known: blocks of an upload that never ended, or another run's without `--state`."""
        shutil.rmtree(self.staging, ignore_errors=True)
        if not self.known:
            shutil.rmtree(self.root, ignore_errors=True)

    def sas(self) -> str:
        """A query that opens this account, shaped as a shared access signature."""
        return f"sv=2025-05-05&ss=b&srt=sco&sp=rwdlac&se=2099-01-01T00%3A00%3A00Z&sig={self._signature()}"

    def _signature(self) -> str:
        return hmac.digest(self.settings.signing_key, b"storage", hashlib.sha256).hex()

    def path_of_code(self, uri: str) -> Path | None:
        """The folder behind a code's `codeUri`."""
        _, found, rest = uri.partition("/aml.blob.emulator/")
        return self._existing(rest) if found else None

    def path_of_model(self, uri: str) -> Path | None:
        """The file or folder behind `azureml://.../datastores/workspaceblobstore/paths/<path>`."""
        match = re.search(r"/datastores/workspaceblobstore/paths/(.+)$", uri)
        return self._existing(f"{CONTAINER}/{match[1]}") if match else self.path_of_code(uri)

    def _existing(self, path: str) -> Path | None:
        try:
            target = self._file(*path.split("?")[0].strip("/").split("/", 1))
        except (StorageError, TypeError):
            return None
        return target if target.exists() else None

    def _file(self, container: str, path: str) -> Path:
        parts = [container, *path.split("/")]
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise StorageError(400, "InvalidUri", "The requested URI does not represent any resource on the server.")
        return self.root.joinpath(*parts)

    # --- the wire -------------------------------------------------------------------------------------------------

    async def handle(self, request: Request) -> Reply:
        head = request.method == "HEAD"
        try:
            if not hmac.compare_digest(request.query.get("sig", "").encode(), self._signature().encode()):
                raise StorageError(403, "AuthenticationFailed", "Server failed to authenticate the request.")
            key = "/".join(request.params[part] for part in ("container", "blob") if part in request.params)
            reply = await self._route(request)(key, request)
        except StorageError as error:
            reply = error.reply(head)
        except OSError:
            reply = StorageError(409, "BlobPathConflict", "The path is in use by another blob.").reply(head)
        reply.headers |= {"x-ms-version": "2025-05-05", "x-ms-request-id": str(uuid.uuid4())}
        return reply

    def _route(self, request: Request) -> Callable[[str, Request], Awaitable[Reply]]:
        table = {
            ("HEAD", ""): self._properties,
            ("GET", ""): self._download,
            ("GET", "list"): self._list,
            ("PUT", ""): self._put,
            ("PUT", "metadata"): self._set_metadata,
            ("PUT", "block"): self._put_block,
            ("PUT", "blocklist"): self._put_block_list,
        }
        comp = request.query.get("comp", "")
        try:
            return table[request.method, comp]
        except KeyError:
            text = f"aml-emulator has no blob operation {request.method} comp={comp}"
            raise StorageError(501, "NotImplemented", text) from None

    def _get(self, key: str) -> Blob:
        try:
            return self.known[key]
        except KeyError:
            raise StorageError(404, "BlobNotFound", "The specified blob does not exist.") from None

    def _headers(self, blob: Blob) -> dict[str, str]:
        metadata = {f"x-ms-meta-{name}": value for name, value in blob.metadata.items()}
        return {"ETag": blob.etag, "Last-Modified": blob.modified, "x-ms-blob-type": "BlockBlob", **metadata}

    async def _properties(self, key: str, _request: Request) -> Reply:
        blob = self._get(key)
        size = self._file(*key.split("/", 1)).stat().st_size
        headers = self._headers(blob) | {"Content-Length": str(size), "Accept-Ranges": "bytes"}
        return Reply(200, None, headers, "application/octet-stream")

    async def _download(self, key: str, request: Request) -> Reply:
        blob, path = self._get(key), self._file(*key.split("/", 1))
        size, headers = path.stat().st_size, self._headers(blob) | {"Accept-Ranges": "bytes"}
        wanted = RANGE.fullmatch(request.headers.get("x-ms-range") or request.headers.get("range") or "")
        if wanted is None:
            return Reply(200, None, headers, "application/octet-stream", FilePart(path, 0, size))
        start, end = int(wanted[1]), min(int(wanted[2] or size), size - 1)
        if start > end:
            raise StorageError(416, "InvalidRange", "The range specified is invalid for the current size of the resource.")
        headers["Content-Range"] = f"bytes {start}-{end}/{size}"
        return Reply(206, None, headers, "application/octet-stream", FilePart(path, start, end - start + 1))

    async def _list(self, container: str, request: Request) -> Reply:
        """All names in one page; with a delimiter, what is below the first one after the prefix is one entry."""
        prefix, delimiter = request.query.get("prefix", ""), request.query.get("delimiter", "")
        entries: dict[str, str] = {}
        for key in sorted(key for key in self.known if key.startswith(f"{container}/{prefix}")):
            name = key.removeprefix(f"{container}/")
            head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else ("", "", "")
            if found:
                entries[prefix + head + found] = f"<BlobPrefix><Name>{escape(prefix + head + found)}</Name></BlobPrefix>"
            else:
                entries[name] = self._entry(name, key)
        inner = f"<Prefix>{escape(prefix)}</Prefix><Blobs>{''.join(entries.values())}</Blobs><NextMarker />"
        text = f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults ContainerName="{escape(container)}">{inner}</EnumerationResults>'
        return Reply(200, text.encode(), {}, "application/xml")

    def _entry(self, name: str, key: str) -> str:
        blob, size = self.known[key], self._file(*key.split("/", 1)).stat().st_size
        metadata = "".join(f"<{k}>{escape(v)}</{k}>" for k, v in blob.metadata.items() if k.isidentifier())
        facts = f"<Last-Modified>{blob.modified}</Last-Modified><Etag>{escape(blob.etag)}</Etag><Content-Length>{size}</Content-Length>"
        facts += "<Content-Type>application/octet-stream</Content-Type><BlobType>BlockBlob</BlobType>"
        return f"<Blob><Name>{escape(name)}</Name><Properties>{facts}</Properties><Metadata>{metadata}</Metadata></Blob>"

    async def _receive(self, request: Request, target: Path) -> bytes:
        """Streams the body to a file and gives its MD5, so that an upload never sits in memory."""
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{uuid.uuid4().hex}")
        digest, size = hashlib.md5(usedforsecurity=False), 0
        try:
            with partial.open("wb") as file:
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > MAX_BLOB:
                        raise StorageError(413, "RequestBodyTooLarge", "The request body is too large.")
                    digest.update(chunk)
                    file.write(chunk)
            os.replace(partial, target)
        finally:
            partial.unlink(missing_ok=True)
        wanted = request.headers.get("content-md5")
        if wanted and base64.b64encode(digest.digest()).decode() != wanted:
            raise StorageError(400, "Md5Mismatch", "The MD5 value specified in the request did not match.")
        return digest.digest()

    async def _put(self, key: str, request: Request) -> Reply:
        if "x-ms-copy-source" in request.headers or request.headers.get("x-ms-blob-type", "BlockBlob") != "BlockBlob":
            raise StorageError(501, "NotImplemented", "aml-emulator knows block blobs only, and copies none")
        if request.headers.get("if-none-match") == "*" and key in self.known:
            raise StorageError(409, "BlobAlreadyExists", "The specified blob already exists.")
        digest = await self._receive(request, self._file(*key.split("/", 1)))
        return self._created(key, request, digest)

    def _created(self, key: str, request: Request, digest: bytes | None = None) -> Reply:
        blob = self.known[key] = Blob(f'"0x{uuid.uuid4().hex[:15].upper()}"', _metadata(request))
        headers = {"ETag": blob.etag, "Last-Modified": blob.modified, "x-ms-request-server-encrypted": "true"}
        if digest is not None:
            headers["Content-MD5"] = base64.b64encode(digest).decode()
        return Reply(201, None, headers)

    async def _set_metadata(self, key: str, request: Request) -> Reply:
        blob = self._get(key)
        blob.metadata = _metadata(request)
        return Reply(200, None, {"ETag": blob.etag, "Last-Modified": blob.modified})

    def _block(self, key: str, block: str) -> Path:
        return self.staging / hashlib.sha256(f"{key}\n{block}".encode()).hexdigest()

    async def _put_block(self, key: str, request: Request) -> Reply:
        await self._receive(request, self._block(key, request.query.get("blockid", "")))
        return Reply(201)

    async def _put_block_list(self, key: str, request: Request) -> Reply:
        if request.headers.get("if-none-match") == "*" and key in self.known:
            raise StorageError(409, "BlobAlreadyExists", "The specified blob already exists.")
        text = (await request.read()).decode("utf-8", "replace")
        # Our own pattern instead of an XML parser: the list is flat, and entities have no business in it.
        names = re.findall(r"<(?:Latest|Committed|Uncommitted)>([A-Za-z0-9+/=%_-]+)</", text)
        blocks = [self._block(key, name) for name in names]
        if not all(block.exists() for block in blocks):
            raise StorageError(400, "InvalidBlockList", "The specified block list is invalid.")
        target = self._file(*key.split("/", 1))
        await asyncio.to_thread(_join, blocks, target)
        return self._created(key, request)


def _join(blocks: list[Path], target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as out:
        for block in blocks:
            with block.open("rb") as part:
                shutil.copyfileobj(part, out)
            block.unlink()


def _metadata(request: Request) -> dict[str, str]:
    prefix = "x-ms-meta-"
    return {name.removeprefix(prefix): value for name, value in request.headers.items() if name.startswith(prefix)}
