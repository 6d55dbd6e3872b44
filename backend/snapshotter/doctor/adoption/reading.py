"""Reading the account as it is: what is not there, what could not be read, and what stops the look."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from snapshotter.aws.endpoint import Endpoint
from snapshotter.aws.error_document import sentence
from snapshotter.aws.refusal import not_accepted
from snapshotter.aws.unreached import OTHER_REGION, other_region, unreached, words_of
from snapshotter.base.errors import Unavailable
from snapshotter.base.urls import redact
from snapshotter.doctor.adoption.effects import Effect

if TYPE_CHECKING:
    from snapshotter.aws.endpoint import Session


_NO_ENTITY = "NoSuchEntity"


class NotRead(Unavailable):
    """One thing could not be read. The rest of the look goes on."""

    default_code = "unread"


class Reader:
    """Reads S3 and IAM with the caller's credentials. `check` raises if the look was cancelled."""

    def __init__(self, session: Session, where: Endpoint, check: Callable[[], None]) -> None:
        self._session, self._where, self._check = session, where, check

    @cached_property
    def _s3(self) -> Any:
        return self._client("s3")

    @cached_property
    def _iam(self) -> Any:
        return self._client("iam")

    def s3(self, operation: str, absent: str = "", **params: Any) -> Any:
        """S3's answer, None for the error code by which it says that there is no such thing.

        Raises NotRead if it refuses, Unavailable if it cannot be asked, or if the bucket is not there.
        """
        return self._ask(lambda: getattr(self._s3, operation)(**params), absent)

    def iam(self, operation: str, **params: Any) -> Any:
        """IAM's answer, None for what does not exist. Raises as `s3` does."""
        return self._ask(lambda: getattr(self._iam, operation)(**params), _NO_ENTITY)

    def s3_pages(self, operation: str, **params: Any) -> Iterator[Any]:
        """The pages of a list of S3's. Raises as `s3` does."""
        return self._pages(self._s3, operation, params)

    def iam_pages(self, operation: str, **params: Any) -> Iterator[Any]:
        """The pages of a list of IAM's, none for what does not exist. Raises as `s3` does."""
        return self._pages(self._iam, operation, params)

    def _pages(self, client: Any, operation: str, params: Mapping[str, Any]) -> Iterator[Any]:
        pages = iter(client.get_paginator(operation).paginate(**params))
        while (page := self._ask(lambda: next(pages, None), _NO_ENTITY)) is not None:
            yield page

    def _ask(self, request: Callable[[], Any], absent: str) -> Any:
        from botocore.exceptions import BotoCoreError, ClientError

        self._check()
        try:
            return request()
        except ClientError as error:
            told = error.response.get("Error", {})
            code, message = str(told.get("Code", "")), sentence(str(told.get("Message") or ""))
            if code == absent:
                return None
            raise _refused(code, message) from error
        except BotoCoreError as error:
            words = redact(words_of(error))
            raise unreached(words) or Unavailable(f"AWS cannot be asked: {words}", code="network") from error

    def _client(self, service: str) -> Any:
        from botocore.config import Config

        config = Config(connect_timeout=10, read_timeout=60, retries={"total_max_attempts": 3})
        client: Any = self._session.client  # its stubs know each service by a type of its own
        return client(service, region_name=self._where.region, verify=self._where.ca_bundle, config=config)


def _refused(code: str, message: str) -> Unavailable:
    """The error for a refusal: one that stops the look, or one of a single request."""
    if error := not_accepted(code):
        return Unavailable(error.message, hint=error.hint, code="credentials")
    if code in OTHER_REGION:
        return other_region("that was named", None)
    if code == "NoSuchBucket":
        return Unavailable(
            "no such bucket", code="no-bucket", hint="check --store: there is nothing to adopt"
        )
    return NotRead(f"{code}: {message}" if message else code)


def guarded(name: str, look: Callable[[], Effect]) -> Effect:
    """The effect that `look` finds; what it could not read is no effect that is known."""
    try:
        return look()
    except NotRead as error:
        return Effect(name, "unread", error.message)
