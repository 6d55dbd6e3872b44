"""How probes reach S3: as the caller, as nobody, by a presigned link, by HTTPS and by plain HTTP."""

from __future__ import annotations

import hashlib
import os
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from snapshotter.access.answer import Kind, S3Answer, ask, from_error
from snapshotter.access.bucket_probes import MALFORMED
from snapshotter.access.probe import Actor
from snapshotter.aws import error_document, unsigned
from snapshotter.aws.credentials import no_credentials
from snapshotter.aws.endpoint import require_tls, resolve, session, settings
from snapshotter.base.errors import UsageError
from snapshotter.base.urls import redact

if TYPE_CHECKING:
    import boto3

_LINK_SECONDS = 60


@dataclass(frozen=True)
class Connection:
    """Whose credentials, and where S3 is if not where the session's own settings say.

    `plain_endpoint` is where the same S3 listens to plain HTTP; by default at the same host.
    """

    session: boto3.session.Session
    endpoint: str | None = None
    plain_endpoint: str | None = None
    ca_bundle: str | None = None
    allow_http: bool = False


def here(
    *, plain_endpoint: str | None = None, allow_http: bool = False, env: Mapping[str, str] = os.environ
) -> Connection:
    """The connection by this process's own settings (the AWS_ variables, profiles, the task role).

    It is the store's own: the same region and CA, and the endpoint that the same settings name, which botocore
    reads itself. Raises UsageError for a profile that does not exist, or settings that cannot be used.
    """
    where = resolve(env)
    return Connection(
        session(where.region), plain_endpoint=plain_endpoint, ca_bundle=where.ca_bundle, allow_http=allow_http
    )


class S3Wire:
    """Clients for one proof, each made when it is first needed."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._closed: str | None = None  # why plain HTTP cannot be reached, once that is known

    @property
    def endpoint(self) -> str:
        """Where S3 is, by the credentials' own settings."""
        return str(self.signed.meta.endpoint_url)

    @property
    def plain_endpoint(self) -> str:
        """Where the same S3 listens to plain HTTP."""
        # Never left to the session: its settings may name an https endpoint, and that is not plain HTTP.
        return self._connection.plain_endpoint or f"http://{urlsplit(self.endpoint).netloc}"

    @property
    def is_aws(self) -> bool:
        """Whether S3 is Amazon's own, by its host."""
        return bool(re.search(r"\.amazonaws\.com(\.cn)?$", urlsplit(self.endpoint).hostname or ""))

    @cached_property
    def signed(self) -> Any:
        """The caller's client."""
        return self._client()

    @cached_property
    def _anonymous(self) -> Any:
        from botocore import UNSIGNED

        return self._client(signature_version=UNSIGNED)

    @cached_property
    def _plain(self) -> Any:
        return self._client(plain=True)

    def send(
        self, operation: str, params: Mapping[str, Any], actor: Actor = Actor.SELF, *, plain: bool = False
    ) -> S3Answer:
        """One request. Once plain HTTP could not be reached, it is not tried again."""
        params = _with_digest(params) if operation in ("PutObject", "UploadPart") else params
        if plain and self._closed:
            return S3Answer(Kind.UNCHECKED, self._closed, message="plain HTTP could not be reached before")
        if actor is Actor.LINK:
            answer = self._follow(operation, params)
        else:
            client = self._plain if plain else self._anonymous if actor is Actor.ANONYMOUS else self.signed
            answer = ask(getattr(client, _method(operation)), head=operation.startswith("Head"), **params)
        if plain and not answer.status:
            self._closed = answer.code
        return answer

    def identity(self) -> S3Answer:
        """Who the caller is, as STS answers; not every S3 has one."""
        client = self._connection.session.client(
            "sts",
            region_name=self._region,
            endpoint_url=self._connection.endpoint,
            verify=self._connection.ca_bundle,
            config=_config(attempts=1),
        )
        return ask(client.get_caller_identity)

    @property
    def _region(self) -> str:
        return self._connection.session.region_name or "us-east-1"

    def _client(self, *, plain: bool = False, signature_version: Any = "s3v4") -> Any:
        endpoint = self._connection.endpoint
        if plain:
            endpoint = self.plain_endpoint
        with settings():
            client = self._connection.session.client(
                "s3",
                region_name=self._region,
                endpoint_url=endpoint,
                verify=self._connection.ca_bundle,
                config=_config(attempts=1 if plain else 3, signature_version=signature_version),
            )
        for operation, body in MALFORMED.items():
            client.meta.events.register(f"before-call.s3.{operation}", _Send(body))
        return client

    def _follow(self, operation: str, params: Mapping[str, Any]) -> S3Answer:
        """Follow a presigned link as anybody could who saw it: without credentials."""
        url = self._plain.generate_presigned_url(
            _method(operation), Params=dict(params), ExpiresIn=_LINK_SECONDS
        )
        try:
            reply = unsigned.send("GET", url)
        except unsigned.NoReply as error:
            # The error's text may hold the link, and so the token: its class alone is told.
            return S3Answer(Kind.UNCHECKED, error.kind)
        if reply.status < 300:
            return S3Answer(Kind.ALLOWED, "", reply.status)
        document = error_document.read(reply.body.decode("utf-8", "replace"))
        answer = from_error(document.code or "", reply.status, document.message or "")
        return replace(answer, request_id=document.request_id)


def connect(connection: Connection) -> S3Wire:
    """The clients for one proof, after the least that they need was checked.

    Raises NoCredentials without credentials, UsageError if S3 itself is plain HTTP, or `plain_endpoint` is not.
    """
    _require_credentials(connection.session)
    wire, plain = S3Wire(connection), connection.plain_endpoint
    require_tls(wire.endpoint, allow_http=connection.allow_http)
    if plain is not None and not re.match(r"http://[^/]", plain):  # by https, its rows would prove nothing
        raise UsageError(
            f"{redact(plain) or 'an empty text'} is no plain HTTP endpoint",
            hint="give one like http://host:port",
        )
    return wire


def _with_digest(params: Mapping[str, Any]) -> Mapping[str, Any]:
    """A write with a digest of its body, unless it has one already.

    S3 takes no other where a bucket locks by default: its answer is "Content-MD5 OR x-amz-checksum- HTTP header is
    required for Put Object requests with Object Lock parameters". Any server knows Content-MD5.
    """
    digest = hashlib.md5(params.get("Body", b""), usedforsecurity=False).digest()
    return {"ContentMD5": b64encode(digest).decode(), **params}


class _Send:
    """Replaces the body that boto3 made of a request; see `MALFORMED`."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __call__(self, params: dict[str, Any], **_: Any) -> None:
        params["body"] = self._body


def _require_credentials(session: boto3.session.Session) -> None:
    """Raise NoCredentials for none, for half of a pair, and if the endpoint for them gives none."""
    from botocore.exceptions import BotoCoreError

    try:
        credentials = session.get_credentials()
    except BotoCoreError as error:
        raise no_credentials(type(error).__name__) from error
    if credentials is None:
        raise no_credentials()


def _config(*, attempts: int, signature_version: Any = None) -> Any:
    from botocore.config import Config

    return Config(
        signature_version=signature_version,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"total_max_attempts": attempts, "mode": "standard"},
        connect_timeout=5,
        read_timeout=30,
    )


def _method(operation: str) -> str:
    from botocore import xform_name

    return str(xform_name(operation))
