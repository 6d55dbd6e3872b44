"""Repositories that an attacker would make: trees as raw objects, packs by hand."""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from collections.abc import Iterable
from pathlib import Path

from tests.support.git import Origin

FILE, LINK, SUB, TREE = 0o100644, 0o120000, 0o160000, 0o40000
MIB = 1 << 20
SCRIPT = "<script>alert(1)</script>"
IMAGE = '"><img src=x onerror=alert(1)>'
ESCAPE = "\x1b[31mred\x1b[0m"


def write(origin: Origin, kind: str, data: bytes) -> str:
    """A loose object, whatever git thinks of it."""
    whole = b"%b %d\0%b" % (kind.encode(), len(data), data)
    oid = hashlib.sha1(whole, usedforsecurity=False).hexdigest()
    path = origin.path / "objects" / oid[:2] / oid[2:]
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(zlib.compress(whole, 1))
    return oid


def tree(origin: Origin, entries: Iterable[tuple[int, bytes, str]]) -> str:
    """A tree object of exactly these entries."""
    raw = b"".join(b"%o %b\0%b" % (mode, name, bytes.fromhex(oid)) for mode, name, oid in entries)
    return write(origin, "tree", raw)


def commit(origin: Origin, root: str, ref: str = "refs/heads/main") -> str:
    """A commit of a tree, as the tip of `ref`."""
    person = "A <a@example.com> 1700000000 +0000"
    oid = write(origin, "commit", f"tree {root}\nauthor {person}\ncommitter {person}\n\nx\n".encode())
    path = origin.path / ref
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{oid}\n")
    return oid


def nested(origin: Origin, levels: int, inside: str, name: bytes = b"d", copies: int = 1) -> str:
    """Folders in folders, each level holding the next `copies` times."""
    for _ in range(levels):
        inside = tree(
            origin, [(TREE, name + (b"%d" % n if copies > 1 else b""), inside) for n in range(copies)]
        )
    return inside


HTML = {
    "README.md": f"# {SCRIPT}\n\n{IMAGE} {ESCAPE}\n\n[x](javascript:alert(1)) <svg onload=alert(1)>\n",
    "LICENSE": f"{SCRIPT}\n",
    "doc.py": f'"""{SCRIPT}"""\n\nX = "{SCRIPT}"\n\n\ndef f(a="{SCRIPT}"):\n    """{SCRIPT} {IMAGE}"""\n',
    "doc.js": f'/** {SCRIPT} */\nexport function g(a = "</style>{SCRIPT}") {{}}\nimport x from "{SCRIPT}";\n',
    "requirements.txt": f"{SCRIPT}==1.0\nflask=={SCRIPT}\nx @ https://example.com/{SCRIPT}\n",
    "package.json": json.dumps(
        {
            "name": SCRIPT,
            "description": IMAGE,
            "bin": {SCRIPT: IMAGE},
            "scripts": {"start": SCRIPT},
            "dependencies": {SCRIPT: IMAGE, "a": SCRIPT},
        }
    ),
    "Dockerfile": f'FROM {SCRIPT}\nENTRYPOINT ["{SCRIPT}"]\n',
    "pyproject.toml": f'[project]\nname = "x"\n[project.scripts]\n"{SCRIPT}" = "{SCRIPT}:f"\n',
}

_ALIASES = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 20)
)
_ENTITIES = "".join(f'<!ENTITY e{n} "{f"&e{n - 1};" * 10}">' for n in range(1, 12))
BOMBS: dict[str, bytes] = {
    "aliases/pnpm-lock.yaml": f"lockfileVersion: '9.0'\n{_ALIASES}packages: *a19\n".encode(),
    "deep-yaml/pnpm-lock.yaml": b"a: " + b"[" * 100_000,
    "deep/package.json": b'{"dependencies": ' + b'{"a": ' * 100_000 + b"1" + b"}" * 100_001,
    "deep/package-lock.json": b"[" * 100_000 + b"]" * 100_000,
    "deep/pyproject.toml": b"[project]\ndependencies = " + b"[" * 100_000 + b"]" * 100_000 + b"\n",
    "deep/Cargo.lock": b"a = " + b"{a = " * 100_000,
    "keys/Cargo.toml": b"[" + b"a." * 100_000 + b"a]\n",
    "deep/poetry.lock": b"x = " + b"[" * 100_000,
    "entities/pom.xml": f'<!DOCTYPE p [<!ENTITY e0 "x">{_ENTITIES}]><project><name>&e11;</name></project>'.encode(),
    "deep/pom.xml": b"<project>" * 50_000,
    "many/requirements.txt": b"".join(b"p%d==1\n" % n for n in range(200_000)),
    "parens.py": b"(" * 100_000,
    "braces.js": b"{" * 100_000,
    "angles.cpp": b"a<" * 100_000,
    "wide.py": b"x = " + b"1 + " * 200_000 + b"1\n",
    "line.js": b"a=1;" * 500_000,
}
POINTERS = {
    "absurd.bin": b"version https://git-lfs.github.com/spec/v1\noid sha256:%b\nsize 999999999999999999\n"
    % (b"a" * 64),
    "more.bin": b"version https://git-lfs.github.com/spec/v1\noid sha256:%b\nsize 99999999999999999999\n"
    % (b"a" * 64),
}
NAMES: dict[bytes, str] = {  # the name in the tree, and the path that its row has
    b"new\nline.py": "new\nline.py",
    ESCAPE.encode() + b".py": f"{ESCAPE}.py",
    b"..": "..",
    b"a/b.py": "a/b.py",
    b"/etc/shadow": "/etc/shadow",
    b"../../up.py": "../../up.py",
    b"x" * 4000 + b".py": "x" * 4000 + ".py",
    b"\xff\xfe.py": "\\xff\\xfe.py",
    SCRIPT.encode() + b".py": f"{SCRIPT}.py",
    IMAGE.encode(): IMAGE,
    b"-rf": "-rf",
    b" ": " ",
    b".": ".",
    b"con.py": "con.py",
    "\u202egpj.py".encode(): "\u202egpj.py",
    b"'; DROP TABLE files; --": "'; DROP TABLE files; --",
    b"\\x41.py": "\\x41.py",
    b"%00.py": "%00.py",
}


def horrors(path: Path) -> Origin:
    """One repository of nearly all of it; `main` holds what the constants above list, and links, modes, depths."""
    origin = Origin(path)
    source = origin.blob(b"def f():\n    return 1\n")
    entries = [(FILE, name, source) for name in NAMES]
    entries += [
        (LINK, b"zero", origin.blob(b"/dev/zero")),
        (LINK, b"passwd", origin.blob(b"/etc/passwd")),
        (LINK, b"up.py", origin.blob(b"../../../..")),
        (LINK, b"self", origin.blob(b"self")),
        (FILE, b"dup.py", source),
        (FILE, b"dup.py", origin.blob(b"x = 2\n")),
        (LINK, b"dup.py", source),
        (
            TREE,
            b".git",
            tree(origin, [(FILE, b"config", origin.blob(b"[core]\n\tfsmonitor = touch pwned\n"))]),
        ),
        (0o100664, b"group.py", source),
        (0o020666, b"device", source),
        (0o140000, b"socket", source),
        (0o1, b"odd", source),
        (SUB, b"module", "12" * 20),
        (SUB, b"-module", "13" * 20),
        (TREE, b"deep", nested(origin, 2000, tree(origin, [(FILE, b"f.py", source)]))),
        (TREE, b"long", nested(origin, 5, tree(origin, [(FILE, b"f.py", source)]), name=b"y" * 4000)),
    ]
    folders: dict[bytes, list[tuple[int, bytes, str]]] = {}
    contents = {name: text.encode() for name, text in HTML.items()} | BOMBS | POINTERS
    for name, content in contents.items():
        folder, _, base = name.encode().rpartition(b"/")
        folders.setdefault(folder, []).append((FILE, base, origin.blob(content)))
    entries += folders.pop(b"")
    entries += [(TREE, name, tree(origin, inside)) for name, inside in folders.items()]
    commit(origin, root := tree(origin, entries))
    origin.ref("refs/tags/a-blob", source)
    origin.ref("refs/tags/a-tree", root)
    origin.git("update-ref", f"refs/heads/{SCRIPT}", origin.oid("main"))
    return origin


def sparse(origin: Origin, size: int) -> str:
    """A blob of `size` zeros that was never in memory, by a pack that holds it deflated; its id."""
    digest, stream = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False), zlib.compressobj(1)
    piece, deflated = bytes(MIB), bytearray()
    for _ in range(size // MIB):
        digest.update(piece)
        deflated += stream.compress(piece)
    header, rest = [(3 << 4) | (size & 15)], size >> 4
    while rest:
        header[-1] |= 0x80
        header.append(rest & 0x7F)
        rest >>= 7
    pack = b"PACK" + struct.pack(">II", 2, 1) + bytes(header) + bytes(deflated) + stream.flush()
    pack += hashlib.sha1(pack, usedforsecurity=False).digest()
    path = origin.path / "objects" / "pack" / "pack-sparse.pack"
    path.write_bytes(pack)
    origin.git("index-pack", str(path).encode())
    return digest.hexdigest()
