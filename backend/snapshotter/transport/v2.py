"""Protocol v2: what to write for ls-refs and fetch, and how to read the answers.

Source: git's gitprotocol-v2.
"""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from snapshotter.base.cancel import Cancel
from snapshotter.git.refs import FORMATS, ObjectFormat, Ref, RefListing, format_of, is_oid
from snapshotter.transport import FetchRequest, WireLimits
from snapshotter.transport.pktline import DELIM, FLUSH, Mark, PktReader, encode_lines
from snapshotter.transport.replies import broken, check_error, over_limit, shallow_origin, too_many_refs

_MAX_CAPABILITIES = 1000  # git's own server has some ten


class Server(Struct, frozen=True):
    """What a v2 server can do: values by capability."""

    capabilities: dict[str, str]

    @property
    def object_format(self) -> ObjectFormat | None:
        """The object format that it states; None if it states none, as git before 2.28."""
        return FORMATS.get(self.capabilities.get("object-format", "").encode())

    @property
    def filters(self) -> bool:
        """Whether fetch takes a filter."""
        return "filter" in self.capabilities.get("fetch", "").split()

    @property
    def unborn(self) -> bool:
        """Whether ls-refs tells a HEAD whose branch does not exist."""
        return "unborn" in self.capabilities.get("ls-refs", "").split()

    def for_listing(self) -> Server:
        """The same, as far as ls-refs depends on it. What a host tells may be long, and this is kept."""
        known = {"agent": ""} if "agent" in self.capabilities else {}
        known |= {"object-format": self.object_format} if self.object_format else {}
        return Server(known | ({"ls-refs": "unborn"} if self.unborn else {}))


def parse_capabilities(reader: PktReader) -> Server:
    """The capabilities after the ``version 2`` line.

    Raises Unavailable for a list without end, and for a server without fetch or of an unknown object format.
    """
    capabilities: dict[str, str] = {}
    told = 0
    while isinstance(line := reader.line(), bytes):
        key, _, value = check_error(line).decode("utf-8", "replace").partition("=")
        capabilities[key] = value
        told += 1  # the same one again and again is no end either
        if told > _MAX_CAPABILITIES:
            raise over_limit("capabilities without end", "no git server does; check the URL")
    if line is not Mark.FLUSH:
        raise broken("its capabilities end early")
    server = Server(capabilities)
    if "fetch" not in capabilities:
        raise broken("it does not offer fetch")
    if "object-format" in capabilities and server.object_format is None:
        raise broken("it has an object format that is neither sha1 nor sha256")
    return server


def ls_refs(server: Server, agent: bytes) -> bytes:
    """The request that lists every ref."""
    # No ref-prefix: the patterns that leave refs out are ours, and what they leave out is told as a gap.
    arguments = [b"peel", b"symrefs"] + ([b"unborn"] if server.unborn else [])
    return _command(b"ls-refs", server, agent, arguments)


def fetch(server: Server, request: FetchRequest, agent: bytes) -> bytes:
    """The request for one pack, in one round: with `done`, the server does not negotiate."""
    # Progress would count as chatter, and nobody sees it.
    arguments = [b"ofs-delta", b"no-progress"]
    if request.thin:
        arguments.append(b"thin-pack")
    if request.filter:
        arguments.append(b"filter " + request.filter.encode())
    if request.depth:
        arguments.append(b"deepen %d" % request.depth)
    arguments += (b"want " + oid.encode() for oid in request.wants)
    arguments += (b"have " + oid.encode() for oid in request.haves)
    return _command(b"fetch", server, agent, [*arguments, b"done"])


def read_refs(server: Server, reader: PktReader, limits: WireLimits, cancel: Cancel) -> RefListing:
    """The refs in an ls-refs answer. Raises Unavailable past the limits or for a broken list."""
    refs: list[Ref] = []
    head_target = head_oid = None
    while isinstance(line := reader.line(), bytes):
        cancel.check()
        oid, name, attributes = _split(check_error(line))
        symref = attributes.get(b"symref-target")
        if name == b"HEAD":
            head_target, head_oid = symref, (None if symref or oid == b"unborn" else oid.decode())
        elif oid != b"unborn":
            peeled = attributes.get(b"peeled")
            refs.append(Ref(name, oid.decode(), peeled.decode() if peeled else None, symref))
        if len(refs) > limits.max_refs or reader.total > limits.max_refs_bytes:
            raise too_many_refs(len(refs) - 1)
    if line is not Mark.FLUSH:
        raise broken("its list of refs ends early")
    stated = server.object_format or format_of(refs, head_oid)
    return RefListing(tuple(refs), head_target, head_oid, stated)


def read_until_pack(request: FetchRequest, next_line: Callable[[], bytes | Mark]) -> None:
    """Read a fetch answer's sections up to the pack. Raises ShallowOrigin for a cut history."""
    while True:
        line = next_line()
        if isinstance(line, Mark):
            raise broken("its answer to fetch holds no pack")
        section = check_error(line)
        if section == b"packfile":
            return
        if section == b"shallow-info" and not request.depth:
            raise shallow_origin()
        if section not in (b"acknowledgments", b"shallow-info", b"wanted-refs", b"packfile-uris"):
            raise broken("its answer to fetch has an unknown section")
        while isinstance(line := next_line(), bytes):
            check_error(line)
        if line is not Mark.DELIM:
            raise broken("its answer to fetch holds no pack")


def _command(name: bytes, server: Server, agent: bytes, arguments: list[bytes]) -> bytes:
    offered = [b"command=" + name]
    if "agent" in server.capabilities:
        offered.append(b"agent=" + agent)
    if server.object_format:
        offered.append(b"object-format=" + server.object_format.encode())
    return encode_lines(offered) + DELIM + encode_lines(arguments) + FLUSH


def _split(line: bytes) -> tuple[bytes, bytes, dict[bytes, bytes]]:
    oid, _, rest = line.partition(b" ")
    name, *words = rest.split(b" ")
    attributes = {key: value for key, _, value in (word.partition(b":") for word in words)}
    peeled = attributes.get(b"peeled")
    if not name or not (oid == b"unborn" or is_oid(oid)) or (peeled is not None and not is_oid(peeled)):
        raise broken("its list of refs holds a line that names no ref")
    return oid, name, attributes
