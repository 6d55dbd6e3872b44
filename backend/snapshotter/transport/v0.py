"""Protocol v0: git's first, and the only one that some hosts speak.

The advertisement is the list of refs; one request then holds wants, haves and ``done``, so there
is nothing to negotiate. Source: git's gitprotocol-pack.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec import Struct

from snapshotter.base.cancel import Cancel
from snapshotter.git.ref_names import HEADS
from snapshotter.git.refs import FORMATS, Ref, RefListing, format_of, is_oid
from snapshotter.transport import FetchRequest, WireLimits
from snapshotter.transport.pktline import FLUSH, Mark, PktReader, encode_lines
from snapshotter.transport.replies import broken, check_error, shallow_origin, too_many_refs

# multi_ack is asked for because one large host refuses clients without it; its answers are skipped.
_WANTED = (b"multi_ack", b"side-band-64k", b"ofs-delta", b"no-progress", b"allow-tip-sha1-in-want")


class Server(Struct, frozen=True):
    """What a v0 server said first: capabilities, refs, and whether it is shallow."""

    capabilities: frozenset[bytes]
    listing: RefListing
    shallow: bool

    @property
    def filters(self) -> bool:
        """Whether fetch takes a filter."""
        return b"filter" in self.capabilities


def read_server(first: bytes | Mark, reader: PktReader, limits: WireLimits, cancel: Cancel) -> Server:
    """The advertisement, given its first line. Raises Unavailable past the limits or if it is broken."""
    refs: dict[bytes, Ref] = {}
    capabilities: frozenset[bytes] = frozenset()
    head_oid, shallow, line = None, False, first
    while isinstance(line, bytes):
        cancel.check()
        line, nul, offered = check_error(line).partition(b"\0")
        if nul:
            capabilities = frozenset(offered.split())
        oid, _, name = line.partition(b" ")
        if oid == b"shallow":
            shallow = True
        elif not is_oid(oid) or not name:
            raise broken("its list of refs holds a line that names no ref")
        elif name.endswith(b"^{}"):
            _peel(refs, name[:-3], oid)
        elif name == b"HEAD":
            head_oid = oid.decode()
        # Neither is a ref: one stands where there are none, the other for objects of alternates.
        elif name != b"capabilities" and name != b".have":
            refs[name] = Ref(name, oid.decode())
        if len(refs) > limits.max_refs or reader.total > limits.max_refs_bytes:
            raise too_many_refs(len(refs) - 1)
        line = reader.line()
    if line is not Mark.FLUSH:
        raise broken("its list of refs ends early")
    return Server(capabilities, _listing(refs, capabilities, head_oid), shallow)


def fetch(server: Server, request: FetchRequest, agent: bytes) -> bytes:
    """The one request: wants with capabilities, a flush, haves, done."""
    capabilities = [word for word in _WANTED if word in server.capabilities]
    capabilities += [b"thin-pack"] if request.thin and b"thin-pack" in server.capabilities else []
    capabilities += [b"filter"] if request.filter else []
    capabilities += [b"shallow"] if request.depth else []
    capabilities += [word for word in server.capabilities if word.startswith(b"object-format=")]
    if any(word.startswith(b"agent=") for word in server.capabilities):
        capabilities.append(b"agent=" + agent)
    wants = [b"want " + oid.encode() for oid in request.wants]
    wants[0] += b" " + b" ".join(capabilities)
    wants += [b"deepen %d" % request.depth] if request.depth else []
    wants += [b"filter " + request.filter.encode()] if request.filter else []
    haves = [b"have " + oid.encode() for oid in request.haves]
    return encode_lines(wants) + FLUSH + encode_lines([*haves, b"done"])


def read_until_pack(server: Server, request: FetchRequest, next_line: Callable[[], bytes | Mark]) -> bool:
    """Read shallow lines and acknowledgements; True if the pack comes in side-bands.

    Raises ShallowOrigin for a cut history that was not asked for, Unavailable for an answer without a pack.
    """
    if server.shallow and not request.depth:
        raise shallow_origin()
    if request.depth:
        while isinstance(line := next_line(), bytes):
            if not check_error(line).startswith((b"shallow ", b"unshallow ")):
                raise broken("its list of shallow commits holds another line")
    # With multi_ack: any number of "ACK <oid> continue", then one final "ACK <oid>" or "NAK".
    while True:
        line = next_line()
        if isinstance(line, Mark):
            raise broken("its answer to fetch holds no pack")
        word = check_error(line)
        if word == b"NAK" or (word.startswith(b"ACK ") and len(word.split()) == 2):
            return b"side-band-64k" in server.capabilities
        if not word.startswith(b"ACK "):
            raise broken("its acknowledgement is in unknown words")


def _peel(refs: dict[bytes, Ref], name: bytes, oid: bytes) -> None:
    """Note what a tag peels to, which a server lists right after the tag. Where it has listed none, there is nothing
    to note it of."""
    if name in refs:
        refs[name] = refs[name]._replace(peeled=oid.decode())


def _listing(refs: dict[bytes, Ref], capabilities: frozenset[bytes], head_oid: str | None) -> RefListing:
    symrefs = dict(
        word[7:].split(b":", 1) for word in capabilities if word.startswith(b"symref=") and b":" in word
    )
    target = symrefs.get(b"HEAD")
    # A server that names any symbolic ref names them all: then a HEAD that is not among them is detached.
    guessed = _guessed_head(refs, head_oid) if head_oid and not symrefs else None
    listed = tuple(ref._replace(symref=symrefs.get(ref.name)) for ref in refs.values())
    stated = next((word[14:] for word in capabilities if word.startswith(b"object-format=")), b"")
    if stated and stated not in FORMATS:
        raise broken("it has an object format that is neither sha1 nor sha256")
    return RefListing(
        listed,
        target or guessed,
        None if target or guessed else head_oid,
        FORMATS.get(stated) or format_of(listed, head_oid),
        head_guessed=guessed is not None,
    )


def _guessed_head(refs: Mapping[bytes, Ref], head_oid: str) -> bytes | None:
    """The branch that HEAD is taken to point at where a server tells no symbolic ref: one with HEAD's id.

    As `git clone` guesses (remote.c, guess_remote_head); None if there is no such branch: then HEAD is detached.
    """
    at_head = [name for name, ref in refs.items() if name.startswith(HEADS) and ref.oid == head_oid]
    return next(
        (name for name in (b"refs/heads/master", b"refs/heads/main") if name in at_head), None
    ) or min(at_head, default=None)
