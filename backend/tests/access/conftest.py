"""One RADOS Gateway and one ministack for all tests of access but the mutants."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.servers import Server, ministack, rgw


@pytest.fixture(scope="session")
def rgw_server() -> Iterator[Server]:
    with rgw() as server:
        yield server


@pytest.fixture(scope="session")
def ministack_server() -> Iterator[Server]:
    with ministack() as server:
        yield server
