"""Where objects live: a local folder, memory, or S3, by one set of rules.

Every write creates (nothing is ever overwritten), is one PUT, and on S3 carries AES256. Every
list has a prefix. Nothing is deleted, and no key is read that was not listed or just written.
"""

from __future__ import annotations

import builtins
import hashlib
import os
import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import obstore
from obstore import exceptions as obs
from obstore.store import LocalStore, MemoryStore, ObjectStore, S3Store

from snapshotter import runbook
from snapshotter.cancel import Cancel
from snapshotter.denial import Refused, error_code, explain
from snapshotter.errors import AccessDenied, SnapshotterError, Unavailable, UsageError
from snapshotter.origin import is_loopback

_ATTEMPTS = 5
_CHUNK = 1000  # entries of a listing taken at once: S3's own page
_TRANSIENT = re.compile(
    r"timed? ?out|connection|broken pipe|error sending request|reset by peer", re.IGNORECASE
)
_STATUS = re.compile(r"status code: (\d{3})\b|\bstatus: (\d{3}),")
_EXPIRED = frozenset({"ExpiredToken", "InvalidToken", "TokenRefreshRequired"})  # S3 answers them with 400
_TRANSIENT_CODES = frozenset(
    {"SlowDown", "InternalError", "ServiceUnavailable", "RequestTimeout", "OperationAborted",
     "ConditionalRequestConflict"}
)  # fmt: skip
T = TypeVar("T")


@dataclass(frozen=True)
class Entry:
    """One listed object: its key, relative to the store's root, and its size in bytes."""

    key: str
    bytes: int


@dataclass(frozen=True)
class Place:
    """Where a store is: its URI as shown to users, and on S3 its bucket and key prefix."""

    uri: str
    bucket: str = ""
    prefix: str = ""
    folder: Path | None = None


class Store:
    """A store. Safe to share between threads.

    Errors are Unavailable or AccessDenied, each with a hint; see docs/operations.md.
    """

    def __init__(self, backend: ObjectStore, place: Place, *, tagging: bool = False) -> None:
        self._backend = backend
        self.place = place
        self._remote = bool(place.bucket)
        self._tagging = tagging

    def put_new(
        self, key: str, data: bytes | memoryview, *, content_type: str = "application/octet-stream",
        tags: Mapping[str, str] | None = None, cancel: Cancel | None = None,
    ) -> None:  # fmt: skip
        """Create one object, in one request, whole or not at all.

        A first try whose answer was lost counts if the stored bytes are these. Raises Unavailable
        (code `exists`) if the key holds something else.
        """
        options: dict[str, Any] = {"mode": "create", "use_multipart": False}
        if self._remote:
            options["attributes"] = {"Content-Type": content_type}
            options["tags"] = dict(tags) if tags and self._tagging else None
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                obstore.put(self._backend, self._full(key), data, **options)
                if self.place.folder:
                    _settle(self.place.folder / key)
            except obs.AlreadyExistsError:
                if self._holds(key, data):
                    return
                if attempt == _ATTEMPTS or self._listed(key) is not None:
                    raise self._exists(key) from None
                _pause(attempt, cancel)
            except (obs.BaseError, OSError) as error:
                if attempt == _ATTEMPTS or not self._transient(error):
                    raise self._translate(error, "PutObject", key) from error
                _pause(attempt, cancel)
            else:
                return

    def get(self, key: str, *, limit: int | None = None) -> bytes:
        """A whole object that is known to exist. Raises Unavailable (code `too-large`) beyond `limit` bytes."""

        def read() -> bytes:
            result = obstore.get(self._backend, self._full(key))
            if limit is not None and result.meta["size"] > limit:
                raise Unavailable(
                    f"{key} has {result.meta['size']} bytes, more than the {limit} expected",
                    code="too-large",
                    hint="it was altered, or is not ours; run `snapshotter verify`",
                )
            return bytes(result.bytes())

        try:
            return self._reading(read, "GetObject", key)
        except AccessDenied as error:
            if self._listed(key) is None:  # there, a missing key answers 403
                raise self._missing(key) from error
            raise

    def stream(self, key: str, chunk: int = 4 * 1024 * 1024) -> Iterator[memoryview]:
        """An existing object's bytes, a few MiB at a time."""
        result = self._reading(lambda: obstore.get(self._backend, self._full(key)), "GetObject", key)
        chunks = iter(result.stream(min_chunk_size=chunk))
        while True:
            try:
                data = next(chunks)
            except StopIteration:
                return
            except (obs.BaseError, OSError) as error:
                raise self._translate(error, "GetObject", key) from error
            yield memoryview(data)

    def list(self, folder: str, *, after: str = "") -> builtins.list[Entry]:
        """Every object below `folder` (without a trailing slash; '' is the root) whose key sorts after
        `after`, in key order."""

        def read() -> builtins.list[Entry]:
            offset = self._full(after) if after else None
            pages = obstore.list(self._backend, self._full(folder) or None, offset=offset, chunk_size=_CHUNK)
            return [Entry(self._relative(meta["path"]), meta["size"]) for page in pages for meta in page]

        return sorted(
            self._reading(read, "ListBucket", f"{folder}/" if folder else ""), key=lambda entry: entry.key
        )

    def folders(self, folder: str) -> builtins.list[str]:
        """The names of the folders directly below `folder`, sorted."""

        def read() -> builtins.list[str]:
            found = obstore.list_with_delimiter(self._backend, self._full(folder) or None)["common_prefixes"]
            return [prefix.rstrip("/").rpartition("/")[2] for prefix in found]

        return sorted(self._reading(read, "ListBucket", f"{folder}/" if folder else ""))

    def _full(self, key: str) -> str:
        return f"{self.place.prefix}{key}".rstrip("/")

    def _relative(self, path: str) -> str:
        return path.removeprefix(self.place.prefix)

    def _listed(self, key: str) -> Entry | None:
        folder = key.rpartition("/")[0]
        return next((entry for entry in self.list(folder) if entry.key == key), None)

    def _holds(self, key: str, data: bytes | memoryview) -> bool:
        entry = self._listed(key)
        if entry is None or entry.bytes != len(data):
            return False
        return hashlib.sha256(self.get(key)).digest() == hashlib.sha256(data).digest()

    def _missing(self, key: str) -> Unavailable:
        return Unavailable(
            f"{key}: it is missing from {self.place.uri}",
            code="missing",
            hint="it was removed; run `snapshotter verify`",
        )

    def _exists(self, key: str) -> Unavailable:
        return Unavailable(
            f"the key is taken by another object: {key}",
            code="exists",
            hint="nothing is ever overwritten; run again, which takes a new run id",
        )

    def _reading(self, read: Callable[[], T], action: str, key: str) -> T:
        """Reads are retried here as well as below: a dropped connection in mid-body is not retried there."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return read()
            except (obs.BaseError, OSError) as error:
                if attempt == _ATTEMPTS or not self._transient(error):
                    raise self._translate(error, action, key) from error
                _pause(attempt, None)
        raise AssertionError  # the last attempt returns or raises

    def _transient(self, error: Exception) -> bool:
        """Whether trying again may help: trouble on the way or in S3, never a refusal or a full disk."""
        if not self._remote:
            return False
        text = str(error)
        if status := _status(text):
            return status >= 500 or status in (408, 409, 429) or error_code(text) in _TRANSIENT_CODES
        # Without its dump, which names settings like retry_timeout, and the URL, which names anything.
        return bool(_TRANSIENT.search(_without_urls(text)))

    def _translate(self, error: Exception, action: str, key: str) -> SnapshotterError:
        text = str(error)
        if self._remote:
            return self._translate_s3(text, action, self.place.prefix + key)
        where = f"{self.place.uri}: {key}"
        if isinstance(error, (obs.NotFoundError, FileNotFoundError)):
            return self._missing(key)
        if "os error 28" in text or "No space left" in text:
            return Unavailable(
                f"the disk is full: {where}", code="disk-full", hint="free space and run again"
            )
        if "os error 13" in text or "os error 1)" in text or isinstance(error, PermissionError):
            return AccessDenied(f"this user may not use the folder: {where}", hint="check its owner and mode")
        return Unavailable(
            f"the store failed: {where}: {_first_line(text)}", code="store", hint="check the folder"
        )

    def _translate_s3(self, text: str, action: str, key: str) -> SnapshotterError:
        code, status = error_code(text), _status(text)
        if code == "NoSuchBucket":
            return Unavailable(f"no such bucket: {self.place.bucket}", code="no-bucket", hint="check --store")
        if code == "PermanentRedirect" or status == 301 or "redirect without LOCATION" in text:
            return Unavailable(
                f"the bucket {self.place.bucket} is in another region",
                code="region",
                hint="set AWS_REGION to its region",
            )
        if code == "NoSuchKey" or status == 404:
            return self._missing(key)
        if not status and "credential" in _without_urls(text).lower():
            return no_credentials(_first_line(text))
        if status in (401, 403) or code in _EXPIRED:
            encryption = "AES256" if action == "PutObject" else None
            return explain(
                Refused(action, self.place.bucket, key, code or "AccessDenied", encryption=encryption)
            )
        return Unavailable(
            f"S3 failed at {action} of {key}: {code or _first_line(text)}",
            code="store",
            hint="the store is in trouble or cannot be reached; try again, and check AWS_ENDPOINT_URL_S3",
        )


def no_credentials(why: str = "") -> Unavailable:
    """For S3 without anybody to be."""
    return Unavailable(
        "no AWS credentials were found" + (f": {why}" if why else ""),
        code="credentials",
        hint="log in (aws sso login), set AWS_PROFILE, or run with the task role; `snapshotter doctor` says more "
        f"{runbook.see(runbook.CREDENTIALS)}",
    )


def open_store(
    uri: str, *, allow_http: bool = False, must_exist: bool = False, env: Mapping[str, str] = os.environ
) -> Store:
    """The store that a URI names: ``file:PATH`` or a path, ``s3://bucket/prefix/``, or ``memory:``.

    A folder is made, unless it `must_exist`: who only reads should hear of a typing error or an unmounted
    disk. Raises UsageError for any other URI, and for S3 over plain HTTP unless it is loopback and allowed.
    """
    scheme, colon, rest = uri.partition(":")
    if scheme == "memory" and colon:
        return Store(MemoryStore(), Place("memory:"))
    if scheme == "s3" and rest.startswith("//"):
        return _open_s3(uri, allow_http=allow_http, env=env)
    if "://" in uri and scheme != "file":
        raise UsageError(f"not a store: {uri}", hint="give file:PATH or s3://bucket/prefix/")
    path = (rest.removeprefix("//") if scheme == "file" and colon else uri) or "."
    folder = Path(path).expanduser().absolute()
    if must_exist and not folder.is_dir():
        raise Unavailable(
            f"no such store: {folder}",
            code="no-store",
            hint="check --store; the first `snapshotter snapshot` makes it",
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"cannot make the store's folder {folder}: {error.strerror}",
            code="store",
            hint="give another --store",
        ) from error
    return Store(LocalStore(folder), Place(f"file:{folder}", folder=folder))


def _open_s3(uri: str, *, allow_http: bool, env: Mapping[str, str]) -> Store:
    split = urlsplit(uri)
    bucket, prefix = split.netloc, split.path.strip("/")
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", bucket) or ".." in prefix.split("/"):
        raise UsageError(f"not a bucket and prefix: {uri}", hint="give s3://bucket/prefix/")
    endpoint = env.get("AWS_ENDPOINT_URL_S3") or env.get("AWS_ENDPOINT_URL") or ""
    plain = endpoint.startswith("http://")
    if plain and not (allow_http and is_loopback(urlsplit(endpoint).hostname or "")):
        raise UsageError(
            f"the S3 endpoint is plain HTTP: {endpoint}",
            hint="use https; plain HTTP is for tests: loopback only, and with --allow-http",
        )
    client: Any = {
        "timeout": timedelta(minutes=10),
        "connect_timeout": timedelta(seconds=15),
        "allow_http": plain,
    }
    if bundle := env.get("AWS_CA_BUNDLE"):
        client["root_certificate"] = _pem(bundle)
    provider: Any = AwsCredentials(env)
    options: dict[str, Any] = {"endpoint": endpoint} if endpoint else {}
    backend = S3Store(
        bucket,
        region=provider.region,
        server_side_encryption="AES256",
        # Over TLS, which authenticates every byte, the body's digest is not signed once more: it costs as much
        # as the segment's own digest, which the manifest records and `verify` checks.
        unsigned_payload=not plain,
        virtual_hosted_style_request=not endpoint and "." not in bucket,
        client_options=client,
        retry_config={"max_retries": 4, "retry_timeout": timedelta(seconds=120)},
        credential_provider=provider,
        **options,
    )
    place = Place(
        f"s3://{bucket}/{prefix}/" if prefix else f"s3://{bucket}/", bucket, f"{prefix}/" if prefix else ""
    )
    return Store(backend, place, tagging=True)


class AwsCredentials:
    """botocore's chain for obstore: profiles, SSO, web identity, ECS and EC2 roles, renewed as they expire.

    Static keys in the environment win, as in that chain, and are read without loading botocore,
    which takes longer than a whole small run.
    """

    def __init__(self, env: Mapping[str, str]) -> None:
        self._env = env
        self._session: Any = None
        region = env.get("AWS_REGION") or env.get("AWS_DEFAULT_REGION")
        self.region: str = region or self._botocore().get_config_variable("region") or "us-east-1"
        if self._static() is None:
            self._renewable()

    def __call__(self) -> dict[str, Any]:
        """Credentials as obstore takes them; `expires_at` is aware, UTC."""
        static = self._static()
        if static is not None:
            return static
        credentials = self._renewable()
        frozen = credentials.get_frozen_credentials()
        expiry: datetime | None = getattr(credentials, "_expiry_time", None)
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": expiry.astimezone(UTC) if expiry else None,
        }

    def _static(self) -> dict[str, Any] | None:
        key, secret = self._env.get("AWS_ACCESS_KEY_ID"), self._env.get("AWS_SECRET_ACCESS_KEY")
        if not key or not secret:
            return None
        token = self._env.get("AWS_SESSION_TOKEN") or None
        return {"access_key_id": key, "secret_access_key": secret, "token": token, "expires_at": None}

    def _renewable(self) -> Any:
        """What botocore's chain finds. Raises Unavailable (code `credentials`)."""
        from botocore.exceptions import BotoCoreError

        try:
            found = self._botocore().get_credentials()
        except BotoCoreError as error:  # an endpoint, a profile or a process was named and gave nothing
            raise no_credentials(type(error).__name__) from error
        if found is None:
            raise no_credentials()
        return found

    def _botocore(self) -> Any:
        if self._session is None:
            import botocore.session

            self._session = botocore.session.get_session()
        return self._session


def _pem(path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise UsageError(
            f"AWS_CA_BUNDLE cannot be read: {error.strerror}", hint=f"check the path {path}"
        ) from error


def _pause(attempt: int, cancel: Cancel | None) -> None:
    seconds = random.uniform(0.2, 0.4) * 2**attempt  # noqa: S311 - jitter, not a secret
    cancel.sleep(seconds) if cancel else time.sleep(seconds)


def _settle(path: Path) -> None:
    """Make a new file survive a power cut: its bytes, and the folders' entries for it."""
    for place in (path, path.parent):
        fd = os.open(place, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


def _status(text: str) -> int:
    """The HTTP status in an obstore error's text, or 0: nothing was answered."""
    match = _STATUS.search(text)
    return int(match[1] or match[2]) if match else 0


def _without_urls(text: str) -> str:
    """An obstore error's words, less its dump and the URLs, in which a key may hold any word."""
    return re.sub(r"https?://\S+", "", text.partition("Debug source:")[0])


def _first_line(text: str) -> str:
    return re.sub(r"\s+", " ", text.strip().partition("\n")[0])[:300]
