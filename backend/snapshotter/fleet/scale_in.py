"""A worker that is at work asks ECS not to take its task away when the service is scaled in or deployed.

Source: "Task scale-in protection endpoint" of the Amazon ECS developer guide. Elsewhere nothing is asked.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from snapshotter.base.observer import Observer

VARIABLE: Final = "ECS_AGENT_URI"  # which ECS sets in the containers of its tasks
_MINUTES: Final = 60
_RENEWED: Final = 20 * 60.0  # seconds
_TIMEOUT: Final = 5.0  # seconds


@contextmanager
def protected(env: Mapping[str, str], observer: Observer) -> Iterator[None]:
    """While inside, this task is protected, and no longer than an hour after its end if it cannot say so.

    A protection that is refused is warned of: the work goes on, and may be done again elsewhere.
    """
    uri = env.get(VARIABLE, "")
    if not uri:
        yield
        return
    over = threading.Event()

    def renew() -> None:
        while not over.wait(_RENEWED):
            _ask(uri, observer, protect=True)

    _ask(uri, observer, protect=True)
    threading.Thread(target=renew, daemon=True, name="scale-in").start()
    try:
        yield
    finally:
        over.set()
        _ask(uri, observer, protect=False)


def _ask(uri: str, observer: Observer, *, protect: bool) -> None:
    import urllib3

    body: dict[str, object] = {"ProtectionEnabled": protect}
    if protect:
        body["ExpiresInMinutes"] = _MINUTES
    try:
        answer = urllib3.request(
            "PUT",
            f"{uri}/task-protection/v1/state",
            json=body,
            timeout=_TIMEOUT,
            retries=False,
            redirect=False,
        )
        refused = (
            "" if answer.status == 200 and b'"failure"' not in answer.data else f"status {answer.status}"
        )
    except urllib3.exceptions.HTTPError as error:
        refused = type(error).__name__
    if refused:
        observer.warn(f"this task is not protected from being scaled in: {refused}")
