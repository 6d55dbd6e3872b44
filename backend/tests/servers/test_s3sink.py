"""The upload sink of the benchmarks counts exactly what obstore and boto3 send, and answers as S3 does."""

import http.client
import os
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import boto3
import obstore
import pytest
from botocore.config import Config
from obstore.store import S3Store

from s3sink import S3Sink


@pytest.fixture
def sink() -> Iterator[S3Sink]:
    with S3Sink() as sink:
        yield sink


def store(sink: S3Sink) -> S3Store:
    return S3Store(
        "bucket",
        endpoint=sink.url,
        access_key_id="a",
        secret_access_key="s",
        region="us-east-1",
        server_side_encryption="AES256",
        client_options={"allow_http": True},
    )


def boto(sink: S3Sink, **config: Any) -> Any:
    return boto3.session.Session().client(
        "s3",
        endpoint_url=sink.url,
        region_name="us-east-1",
        aws_access_key_id="a",
        aws_secret_access_key="s",
        config=Config(s3={"addressing_style": "path"}, **config),
    )


def test_obstore_puts_and_lists(sink: S3Sink) -> None:
    sizes = [0, 1, 65_536, 3_000_001]
    for size in sizes:
        done = obstore.put(store(sink), f"p/{size}", os.urandom(size), mode="create", use_multipart=False)
        assert done["e_tag"]
    assert list(obstore.list(store(sink), "p/").collect()) == []
    with pytest.raises(FileNotFoundError):
        obstore.get(store(sink), "p/1")
    assert sink.bytes == sum(sizes)
    assert sink.requests == {"PUT": len(sizes), "GET": 2}


def test_boto3_with_expect_and_without(sink: S3Sink) -> None:
    boto(sink, request_checksum_calculation="when_required").put_object(
        Bucket="b", Key="k", Body=b"x" * 70_000
    )
    assert sink.bytes == 70_000
    assert "Contents" not in boto(sink).list_objects_v2(Bucket="b", Prefix="p/")


def test_chunked_bodies_and_a_client_that_hangs_up(sink: S3Sink) -> None:
    address = urlsplit(sink.url)
    connection = http.client.HTTPConnection(address.hostname, address.port)
    for _ in range(2):  # twice on one connection
        connection.request("PUT", "/b/k", iter([b"a" * 10, b"b" * 100_000]), encode_chunked=True)
        assert connection.getresponse().read() == b""
    connection.putrequest("PUT", "/b/k")
    connection.putheader("Content-Length", "1000000")
    connection.endheaders(b"too short")
    connection.close()
    assert sink.bytes == 2 * 100_010
