"""An HTTP body out of its framing, in whatever pieces it comes; and pkt-lines and side-bands out of it likewise."""

from __future__ import annotations

import io
import itertools
import random
from collections.abc import Iterator
from http.client import IncompleteRead, LineTooLong

import pytest

from snapshotter.transport import NoGitAnswer, WireLimits
from snapshotter.transport.http_body import Body
from snapshotter.transport.pktline import FLUSH, Mark, PktReader, encode

DATA = bytes(random.Random(7).randbytes(300_000))


class Pieces(io.RawIOBase):
    """Bytes that come in pieces of at most so many bytes, and then end."""

    def __init__(self, data: bytes, piece: int) -> None:
        self._rest, self._piece = memoryview(data), piece

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        count = min(len(buffer), self._piece, len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


def body(data: bytes, piece: int = 1 << 20, *, length: int | None = None, chunked: bool = False) -> Body:
    return body_of(Pieces(b"HTTP/1.1 200 OK\r\n\r\n" + data, piece), length=length, chunked=chunked)


def body_of(source: Pieces, *, length: int | None = None, chunked: bool = False) -> Body:
    stream = io.BufferedReader(source, 4096)  # type: ignore[type-var]
    while stream.readline().strip():
        pass
    return Body(stream, source, length=length, chunked=chunked, ended=ENDED.note)


class _Ended:
    """How often a body said that it had ended."""

    def __init__(self) -> None:
        self.times = 0

    def note(self) -> None:
        self.times += 1


ENDED = _Ended()


@pytest.fixture(autouse=True)
def _no_end_yet() -> None:
    ENDED.times = 0


def read(body: Body, most: int = 1 << 20) -> bytes:
    whole = bytearray()
    while piece := body.next(most):
        assert len(piece) <= most
        whole += piece
    assert ENDED.times == 1
    assert not body.next(), "its end stays"
    assert ENDED.times == 1
    return bytes(whole)


def chunks(data: bytes, seed: int, extension: bytes = b"") -> bytes:
    """The data in chunks of any size, and the last one."""
    sizes, at, made = random.Random(seed), 0, bytearray()
    while at < len(data):
        size = sizes.choice([1, 2, 5, 4096, 8192, 70_000])
        made += b"%x%b\r\n%b\r\n" % (len(data[at : at + size]), extension, data[at : at + size])
        at += size
    return bytes(made) + b"0\r\n\r\n"


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000, 4096, 1 << 20])
def test_chunks_in_pieces_of_any_size(piece: int) -> None:
    data = DATA if piece > 100 else DATA[:3000]
    assert read(body(chunks(data, piece), piece, chunked=True)) == data
    assert read_with_most(data, piece, 10) == data


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000, 4096, 1 << 20])
def test_what_has_come_of_chunks_is_taken_at_once(piece: int) -> None:
    data = DATA if piece > 100 else DATA[:3000]
    chunked, whole, most = body(chunks(data, piece), piece, chunked=True), bytearray(), 0
    while pieces := chunked.pieces():
        whole += b"".join(pieces)
        most = max(most, len(pieces))
    assert whole == data
    assert not chunked.pieces(), "its end stays"
    assert ENDED.times == 1
    assert piece < 4096 or most > 3


def test_a_chunk_of_which_only_the_head_has_come_is_no_piece_yet() -> None:
    """An empty piece would pass for the end."""
    come = b"3\r\nabc\r\n4\r\n"
    chunked = body(come + b"defg\r\n0\r\n\r\n", len(b"HTTP/1.1 200 OK\r\n\r\n" + come), chunked=True)
    assert [list(map(bytes, pieces)) for pieces in iter(chunked.pieces, [])] == [[b"abc"], [b"defg"]]


def test_pieces_of_what_has_a_length_or_ends_with_the_connection() -> None:
    for whole in (body(DATA[:5000] + b"another answer", length=5000), body(DATA[:5000])):
        assert b"".join(itertools.chain.from_iterable(iter(whole.pieces, []))) == DATA[:5000]
        assert not whole.pieces()


def test_a_chunk_of_no_size_after_others_is_refused() -> None:
    broken = body(b"3\r\nabc\r\n-5\r\nabcde\r\n0\r\n\r\n", chunked=True)
    assert [bytes(piece) for piece in broken.pieces()] == [b"abc"]
    with pytest.raises(IncompleteRead):
        broken.pieces()


def read_with_most(data: bytes, piece: int, most: int) -> bytes:
    ENDED.times = 0
    return read(body(chunks(data[:2000], piece), piece, chunked=True), most) + data[2000:]


@pytest.mark.parametrize("piece", [1, 1000, 1 << 20])
def test_a_length_and_what_ends_with_the_connection(piece: int) -> None:
    assert read(body(DATA[:5000] + b"another answer", piece, length=5000)) == DATA[:5000]
    ENDED.times = 0
    assert read(body(DATA[:5000], piece)) == DATA[:5000]
    ENDED.times = 0
    assert read(body(b"", piece, length=0)) == b""


def test_extensions_trailers_and_bare_line_ends_are_passed_over() -> None:
    plain = chunks(DATA, 1, b';name="v"').removesuffix(b"\r\n") + b"Trailer: " + b"x" * 200 + b"\r\n\r\n"
    assert read(body(plain, 50, chunked=True)) == DATA
    ENDED.times = 0
    assert read(body(b"3\nabc\n0\n\n", chunked=True)) == b"abc"


@pytest.mark.parametrize("end", [b"0\r\n\r\n", b"0\n\n", b"000;x=y\r\nA: b\r\nC: d\r\n\r\n"])
def test_what_ends_a_body_is_read_and_nothing_after_it(end: bytes) -> None:
    """Else the next answer on the connection would begin in the middle of this one."""
    source = Pieces(b"HTTP/1.1 200 OK\r\n\r\n" + b"3\r\nabc\r\n" + end + b"HTTP/1.1 204", 1)
    assert read(body_of(source, chunked=True)) == b"abc"
    assert source.readall() == b"HTTP/1.1 204"


@pytest.mark.parametrize("chunked", [True, False])
def test_a_body_that_is_cut_anywhere_is_told(chunked: bool) -> None:
    whole = chunks(DATA[:200], 3) if chunked else DATA[:200]
    for end in range(len(whole) - (5 if chunked else 1)):
        cut = body(whole[:end], length=None if chunked else 200, chunked=chunked)
        with pytest.raises(IncompleteRead):
            read(cut)
        assert ENDED.times == 0


@pytest.mark.parametrize("size", [b"", b"-5", b"+5", b"0x5", b"1_0", b"zz", b"f" * 16, b" "])
def test_a_chunk_of_no_size_is_refused(size: bytes) -> None:
    with pytest.raises(IncompleteRead):
        read(body(size + b"\r\nabcdefgh\r\n0\r\n\r\n", chunked=True))


def test_a_chunk_s_head_without_end_is_refused() -> None:
    with pytest.raises(LineTooLong):
        read(body(b"5;" + b"x" * 200_000, chunked=True))


@pytest.mark.parametrize("frame", [b"1;" + b"x" * 500 + b"\r\na\r\n", b"0\r\n" + b"A: b\r\n" * 50])
@pytest.mark.parametrize("by_pieces", [True, False])
def test_frames_without_end_are_refused(frame: bytes, *, by_pieces: bool) -> None:
    """A limit of the body's bytes is none of theirs."""
    framed = body(b"3\r\nabc\r\n" + frame * 1000, chunked=True)
    with pytest.raises(LineTooLong):
        while framed.pieces() if by_pieces else framed.next():
            pass


def test_the_smallest_chunks_are_no_frames_without_end() -> None:
    framed = b"".join(b"0001\r\n%c\r\n" % byte for byte in DATA[:100_000]) + b"0\r\n\r\n"
    assert read(body(framed, 7, chunked=True)) == DATA[:100_000]


def packets(data: bytes, piece: int, at_once: int = 1) -> PktReader:
    """A reader of the data in pieces of which so many come at once, in one buffer that is used again."""
    source, buffer = Pieces(data, piece), memoryview(bytearray(1000 * at_once))

    def pieces() -> list[memoryview]:
        rest, come = buffer, []
        for _ in range(at_once):
            count = source.readinto(rest[:1000])
            come.append(rest[:count])
            rest = rest[count:]
        return [some for some in come if some] or [rest[:0]]

    return PktReader(pieces, WireLimits())


def bands() -> tuple[bytes, list[tuple[int, bytes]]]:
    """Packets on side-bands, and what each band says, in order."""
    chosen = random.Random(3)
    said = [
        (chosen.choice([1, 1, 1, 2]), chosen.randbytes(chosen.choice([0, 1, 3, 500, 3000])))
        for _ in range(60)
    ]
    return b"".join(encode(bytes([band]) + words) for band, words in said) + FLUSH, said


def parts(reader: PktReader, *, at_once: bool = False) -> Iterator[tuple[int, bytes]]:
    while not isinstance(part := reader.band(), Mark):
        more = reader.more_of_pack() if at_once and part[0] == 1 else []
        yield part[0], b"".join([part[1], *more])
    assert part is Mark.FLUSH


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1000])
def test_side_bands_in_pieces_of_any_size(piece: int) -> None:
    stream, said = bands()
    for at_once in (0, 1, 4):
        reader = packets(stream, piece, at_once or 1)
        heard = list(parts(reader, at_once=at_once > 0))
        assert b"".join(words for band, words in heard if band == 1) == b"".join(w for b, w in said if b == 1)
        assert [words for band, words in heard if band == 2] == [w for b, w in said if b == 2], "whole ones"
        assert reader.total == len(stream)


def test_the_pack_is_taken_at_once_as_far_as_it_has_come() -> None:
    """And no further: what is no packet of the pack is left for whoever says what is wrong with it."""
    wrong = encode(b"\1abc") + encode(b"\1defg") + b"0x9x\1hijkl"
    reader = packets(wrong, 1000)
    assert [bytes(reader.band()[1]), *map(bytes, reader.more_of_pack())] == [b"abc", b"defg"]  # type: ignore[index]
    assert not reader.more_of_pack()
    with pytest.raises(NoGitAnswer, match="'0x9x' for a length"):
        reader.band()


@pytest.mark.parametrize("head", [b"ffff", b"fff1", b"0003", b"+00a", b" 00a"])
def test_a_length_that_git_does_not_write_is_refused_within_a_pack_too(head: bytes) -> None:
    reader = packets(encode(b"\1abc") + head + b"\1hijkl" + bytes(900), 1000)
    reader.band()
    assert not reader.more_of_pack()
    with pytest.raises(NoGitAnswer, match="for a length"):
        reader.band()


@pytest.mark.parametrize("piece", [1, 7, 1000])
def test_side_bands_that_are_cut_anywhere_are_told(piece: int) -> None:
    stream = encode(b"\1" + DATA[:40]) + encode(b"\2words") + FLUSH
    marks = {len(encode(b"\1" + DATA[:40])), len(stream) - 4, 0}
    for end, at_once in itertools.product(range(len(stream)), (False, True)):
        reader = packets(stream[:end], piece)
        if end in marks:  # between two packets
            with pytest.raises(AssertionError):
                list(parts(reader, at_once=at_once))
        else:
            with pytest.raises(NoGitAnswer, match=f"cut off after {end} bytes"):
                list(parts(reader, at_once=at_once))


def test_a_packet_without_a_band_is_of_none() -> None:
    assert list(parts(packets(b"0004" + encode(b"\1") + FLUSH, 3))) == [(0, b""), (1, b"")]


@pytest.mark.parametrize("piece", [1, 5, 1000])
def test_packets_and_raw_bytes_in_pieces_of_any_size(piece: int) -> None:
    reader = packets(encode(b"a\n") + FLUSH + encode(b"b" * 600) + b"PACK and so on", piece)
    assert reader.line() == b"a"
    assert reader.line() is Mark.FLUSH
    assert bytes(reader.packet()) == b"b" * 600  # type: ignore[arg-type]
    raw = bytearray()
    while (some := reader.raw()) is not None:
        raw += some
    assert raw == b"PACK and so on"
    assert reader.total == 6 + 4 + 604 + 14
