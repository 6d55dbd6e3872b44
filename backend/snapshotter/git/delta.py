"""Git's deltas: instructions that make an object from another. Source: git's gitformat-pack."""

from __future__ import annotations

from snapshotter.base.errors import TooLarge, Unusable

_CHECK = "check the origin with `git fsck`"


def delta_target(delta: bytes) -> int:
    """The size in bytes of what a git delta makes. Raises Unusable if the delta is damaged."""
    try:
        return _varint(delta, _varint(delta, 0)[1])[0]
    except IndexError:
        raise bad_pack("a delta ends early") from None


def delta_inserts(delta: bytes) -> bytes:
    """The bytes that a git delta brings of its own, in order. Raises Unusable if the delta is damaged."""
    out = bytearray()
    try:
        at = _varint(delta, _varint(delta, 0)[1])[1]
        while at < len(delta):
            op = delta[at]
            at += 1
            if op & 0x80:
                at += (op & 0x7F).bit_count()
            elif op:
                out += delta[at : at + op]
                at += op
            else:
                raise bad_pack("a delta has an unknown instruction")
    except IndexError:
        raise bad_pack("a delta ends early") from None
    if at > len(delta):
        raise bad_pack("a delta ends early")
    return bytes(out)


def apply_delta(base: bytes, delta: bytes, limit: int) -> bytes:
    """The target of a git delta. Raises Unusable if the delta is damaged or its target exceeds `limit`."""
    try:
        source, at = _varint(delta, 0)
        target, at = _varint(delta, at)
        if source != len(base) or target > limit:
            raise bad_pack("a delta does not fit its base or exceeds the limit")
        out = _follow(delta, at, base, target)
    except IndexError:
        raise bad_pack("a delta ends early") from None
    if len(out) != target:
        raise bad_pack("a delta's target is not of the size that it states")
    return bytes(out)


def _follow(delta: bytes, at: int, base: bytes, target: int) -> bytearray:
    """What the delta's instructions from `at` on make of the base, until it is longer than `target`.

    Raises IndexError for a delta that is cut off.
    """
    out, end = bytearray(), len(delta)
    while at < end and len(out) <= target:
        op = delta[at]
        at += 1
        if op & 0x80:  # each bit written out, not in a loop: a large tree has millions of these
            offset = size = 0
            if op & 0x01:
                offset = delta[at]
                at += 1
            if op & 0x02:
                offset |= delta[at] << 8
                at += 1
            if op & 0x04:
                offset |= delta[at] << 16
                at += 1
            if op & 0x08:
                offset |= delta[at] << 24
                at += 1
            if op & 0x10:
                size = delta[at]
                at += 1
            if op & 0x60:
                if op & 0x20:
                    size |= delta[at] << 8
                    at += 1
                if op & 0x40:
                    size |= delta[at] << 16
                    at += 1
            out += base[offset : offset + (size or 0x10000)]
        elif op:
            out += delta[at : at + op]
            at += op
        else:  # git keeps 0 for a later use
            raise bad_pack("a delta has an unknown instruction")
    if at > end:  # an insert that brings less than it says
        raise IndexError
    return out


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at `at`, seven bits a byte and the lowest first, and the offset after it."""
    value = shift = 0
    while True:
        byte, at = data[at], at + 1
        value |= (byte & 0x7F) << shift
        shift += 7
        if not byte & 0x80:
            return value, at
        if shift > 60:
            raise bad_pack("a delta states an impossible size")


def bad_pack(what: str) -> Unusable:
    """The error for a pack, or a delta in it, that is not what git writes."""
    return Unusable(f"the pack cannot be read: {what}", code="bad-pack", hint=_CHECK)


def large_pack(what: str) -> TooLarge:
    """The error for a pack that goes over a limit."""
    return TooLarge(f"the pack cannot be read: {what}", code="pack-too-large", hint=_CHECK)
