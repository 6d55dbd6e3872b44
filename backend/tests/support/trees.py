"""A repository whose tree changes at random, as trees do, and as trees should not."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable

from tests.scan.planted import VALUES, in_source
from tests.support.git import Origin, commit_command, file_command, quoted

FILE, RUN, LINK, SUB = b"100644", b"100755", b"120000", b"160000"
MAX_FILE, MAX_TOTAL, MAX_FILES = 3_000, 16_000, 40
EXCLUDE = ["vendor/", "*.skip"]
_MANIFESTS = (b"requirements.txt", b"package.json", b"go.mod", b"Cargo.toml", b"Dockerfile", b"pom.xml")
_EXTENSIONS = (
    b".py",
    b".js",
    b".ts",
    b".tsx",
    b".go",
    b".rs",
    b".java",
    b".txt",
    b".json",
    b".md",
    b"",
    b".h",
)
_FOLDERS = (b"", b"src/", b"src/lib/", b"pkg/", b"vendor/", b"app/", "ümlaut/".encode(), b"\xff\xfe/")


class Trees:
    """`files` maps each path to its mode and content; a submodule's content is a commit id."""

    def __init__(self, origin: Origin, seed: int) -> None:
        self.origin = origin
        self.random = random.Random(seed)
        self.files: dict[bytes, tuple[bytes, bytes]] = {}
        self.number = self.commits = 0
        self.done: set[str] = set()
        for _ in range(12):
            self.add()
        self.manifest()
        self.go_module()
        self.commit()

    def step(self) -> str:
        """Do one to four things, then commit."""
        steps: list[tuple[Callable[[], None], int]] = [
            (self.edit, 4),
            (self.add, 4),
            (self.delete, 3),
            (self.rename, 4),
            (self.rename_folder, 2),
            (self.copy, 3),
            (self.to_other_language, 3),
            (self.to_manifest, 3),
            (self.from_manifest, 3),
            (self.swap, 2),
            (self.lfs, 3),
            (self.symlink, 2),
            (self.submodule, 2),
            (self.grow, 3),
            (self.shrink, 3),
            (self.go_module, 2),
            (self.attributes, 2),
            (self.aliases, 2),
            (self.manifest, 2),
            (self.resolves, 4),
            (self.fill, 2),
            (self.many, 1),
            (self.few, 1),
            (self.exclude, 1),
            (self.odd_name, 2),
            (self.secret, 2),
            (self.binary, 1),
            (self.minified, 1),
            (self.generated, 1),
            (self.licence, 1),
            (self.nothing, 1),
        ]
        chosen = self.random.choices(*zip(*steps, strict=True), k=self.random.choice((1, 1, 1, 2, 4)))
        for do in chosen:
            do()
            self.done.add(do.__name__)
        self.commit()
        return " ".join(do.__name__ for do in chosen)

    def commit(self) -> None:
        """The whole tree as a commit on main."""
        self.commits += 1
        stream = commit_command("refs/heads/main", self.commits, "x")
        if self.commits > 1:
            stream += b"from refs/heads/main^0\n"
        stream += b"deleteall\n"
        for path, (mode, content) in sorted(self.files.items()):
            if mode == SUB:
                stream += b"M 160000 %b %b\n" % (content, quoted(path))
            else:
                stream += file_command(path, content, mode)
        self.origin.git("fast-import", "--quiet", data=stream)

    def text(self, path: bytes) -> bytes:
        """Something that a file of this name may hold; it imports what others may be."""
        self.number += 1
        n, one, two = self.number, self.random.randrange(6), self.random.choice(("util", "lib", "pkg", "m1"))
        extension = path.rpartition(b".")[2]
        known = {
            b"py": f'"""Doc {n}."""\nimport {two}, pkg.m{one}\nfrom .{two} import f{one}\n\ndef f{n}(x):\n'
            "    return x\n",
            b"go": f'package p\n\nimport "example.com/m{one}/pkg"\n\n// F{n} does.\nfunc F{n}() {{}}\n',
            b"rs": f"use crate::{two}::f{one};\n/// Doc.\npub fn f{n}() {{}}\n",
            b"java": f"package p;\nimport p.{two.title()};\nclass C{n} {{ int f() {{ return {n}; }} }}\n",
            b"h": f'#include "{two}.h"\nint f{n}(void);\n',
        }
        script = f'import {{ f{one} }} from "./{two}";\nexport function f{n}(a) {{ return a; }}\n'
        if extension in known:
            return known[extension].encode()
        is_script = extension in (b"js", b"ts", b"tsx")
        return (f"{script}// {n}\n" if is_script else f"text {n}\n" * self.random.randrange(1, 9)).encode()

    def pick(self, *modes: bytes) -> bytes | None:
        found = sorted(path for path, (mode, _) in self.files.items() if mode in (modes or (FILE, RUN)))
        return self.random.choice(found) if found else None

    def put(self, path: bytes, mode: bytes, content: bytes) -> None:
        """Set a path; what stands in its way as a folder or a file goes."""
        for other in list(self.files):
            if other.startswith(path + b"/") or path.startswith(other + b"/"):
                del self.files[other]
        self.files[path] = (mode, content)

    def new_path(self) -> bytes:
        self.number += 1
        name = self.random.choice((b"util", b"lib", b"m1", b"m2", b"f%d" % self.number))
        return self.random.choice(_FOLDERS) + name + self.random.choice(_EXTENSIONS)

    def move(self, path: bytes | None, to: bytes) -> None:
        if path is not None and path in self.files:
            self.put(to, *self.files.pop(path))

    def edit(self) -> None:
        if (path := self.pick()) is not None:
            self.files[path] = (self.random.choice((FILE, FILE, RUN)), self.text(path))

    def add(self) -> None:
        path = self.new_path()
        self.put(path, FILE, self.text(path))

    def delete(self) -> None:
        if (path := self.pick(FILE, RUN, LINK, SUB)) is not None and len(self.files) > 3:
            del self.files[path]

    def rename(self) -> None:
        if (path := self.pick()) is not None:
            name = path.rpartition(b"/")[2]
            self.move(path, self.random.choice(_FOLDERS) + self.random.choice((name, b"moved-" + name)))

    def rename_folder(self) -> None:
        folders = sorted({path.rpartition(b"/")[0] for path in self.files} - {b""})
        if folders:
            old, new = (
                self.random.choice(folders),
                self.random.choice((b"pkg", b"src/deep", b"vendor", b"lib")),
            )
            for path in [path for path in self.files if path.startswith(old + b"/")]:
                self.move(path, new + path[len(old) :])

    def copy(self) -> None:
        if (path := self.pick()) is not None:
            name = path.rpartition(b"/")[2]
            for folder in self.random.sample(_FOLDERS, 2):
                self.put(folder + b"copy-" + name, *self.files[path])
                if path not in self.files:
                    break

    def to_other_language(self) -> None:
        if (path := self.pick()) is not None:
            stem = path.rpartition(b".")[0] or path
            self.move(path, stem + self.random.choice(_EXTENSIONS))

    def to_manifest(self) -> None:
        folder = self.random.choice(_FOLDERS)
        self.move(self.pick(), folder + self.random.choice(_MANIFESTS))

    def from_manifest(self) -> None:
        found = sorted(path for path in self.files if path.rpartition(b"/")[2] in _MANIFESTS)
        if found:
            self.move(self.random.choice(found), self.new_path())

    def swap(self) -> None:
        """Two paths change places."""
        one, two = self.pick(), self.pick()
        if one is not None and two is not None:
            self.files[one], self.files[two] = self.files[two], self.files[one]

    def lfs(self) -> None:
        """A file goes to LFS, or what is there comes back."""
        if (path := self.pick()) is None:
            return
        if b"git-lfs" in self.files[path][1]:
            self.files[path] = (FILE, self.text(path))
        else:
            digest = hashlib.sha256(path + b"%d" % self.number).hexdigest().encode()
            size = self.random.choice((1, 10**6, 10**17))
            pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:%b\nsize %d\n" % (digest, size)
            self.files[path] = (FILE, pointer)

    def symlink(self) -> None:
        if (path := self.pick(LINK)) is not None and self.random.random() < 0.5:
            self.files[path] = (FILE, self.text(path))
        else:
            target = self.random.choice((b"/etc/passwd", b"../x", b"util.py", b"/dev/zero"))
            self.put(self.pick() or b"link", LINK, target)

    def submodule(self) -> None:
        commit = self.origin.oid("refs/heads/main").encode()
        self.put(self.random.choice((self.pick(FILE, RUN, SUB) or b"sub", b"sub", b"pkg")), SUB, commit)

    def grow(self) -> None:
        if (path := self.pick()) is not None:
            lines = b"".join(b"# %d\n" % self.random.randrange(10**6) for _ in range(500))
            self.files[path] = (FILE, self.files[path][1] + lines)

    def shrink(self) -> None:
        large = [
            path for path, (mode, text) in sorted(self.files.items()) if mode == FILE and len(text) > 1500
        ]
        for path in large[: self.random.choice((1, 3))]:
            self.files[path] = (FILE, self.text(path))

    def fill(self) -> None:
        """The total goes over its limit."""
        for _ in range(6):
            path = self.new_path()
            self.put(path, FILE, self.text(path) + self.random.randbytes(900).hex().encode() + b"\n")

    def many(self) -> None:
        """More files than are read."""
        for n in range(MAX_FILES):
            self.put(b"a%d.py" % n if n % 2 else b"many/z%d.py" % n, FILE, b"x = %d\n" % (n // 3))

    def few(self) -> None:
        for path in self.random.sample(sorted(self.files), len(self.files) * 2 // 3):
            del self.files[path]

    def go_module(self) -> None:
        folder = self.random.choice((b"", b"src/", b"vendor/"))
        padding = b"// %d\n" % self.number * self.random.choice((1, 1, 1, 600))
        module = b"module example.com/m%d\n\nrequire example.com/other v1.%d.0\n" % (
            self.random.randrange(6),
            self.number,
        )
        self.put(folder + b"go.mod", FILE, module + padding)
        self.put(folder + b"pkg/f.go", FILE, b"package pkg\n")

    def attributes(self) -> None:
        """Attributes of a folder come, change or go."""
        path = self.random.choice((b"", b"src/", b"pkg/")) + b".gitattributes"
        lines = (
            b"*.py linguist-generated linguist-language=JavaScript\n",
            b"*.js linguist-language=Python -linguist-vendored\n",
            b"* linguist-documentation !linguist-language\n",
        )
        if self.files.pop(path, None) is None or self.random.random() < 0.6:
            self.put(path, FILE, b"".join(self.random.sample(lines, self.random.randint(1, 3))))

    def aliases(self) -> None:
        """Scripts have an alias, and it means another folder each time."""
        folder = self.random.choice((b"src", b"pkg", b"vendor"))
        self.put(b"tsconfig.json", FILE, b'{"compilerOptions": {"paths": {"~/*": ["%b/*"]}}}' % folder)
        self.put(b"uses.ts", FILE, b"import { x } from '~/util';\n")

    def manifest(self) -> None:
        self.number += 1
        folder, n = self.random.choice(_FOLDERS), self.number
        texts = {
            b"requirements.txt": b"requests==2.%d\nflask\n" % n,
            b"package.json": b'{"name": "x", "dependencies": {"left-pad": "^1.%d"}}' % n,
            b"Dockerfile": b"FROM python:3.%d\n" % n,
            b"Cargo.toml": b'[dependencies]\nserde = "1.%d"\n' % n,
            b"pom.xml": b"<project><broken %d" % n,
        }
        name = self.random.choice(sorted(texts))
        self.put(folder + name, FILE, texts[name])

    def resolves(self) -> None:
        """A file appears or goes that others' imports may mean."""
        paths = (
            b"util.py",
            b"pkg/__init__.py",
            b"pkg/m1.py",
            b"src/util.ts",
            b"src/util/index.js",
            b"util.h",
            b"lib.js",
        )
        path = self.random.choice(paths)
        if self.files.pop(path, None) is None:
            self.put(path, FILE, self.text(path))

    def exclude(self) -> None:
        path = self.random.choice((b"vendor/x/a.py", b"gone.skip", b"x/vendor/b.go"))
        self.put(path, FILE, self.text(path))

    def odd_name(self) -> None:
        name = self.random.choice(
            (b"\xff.py", b"\\xff.py", b"new\nline.py", b"\x1b[31m.js", b"x" * 250, b'"q".py')
        )
        self.put(self.random.choice(_FOLDERS) + name, FILE, self.text(name))

    def secret(self) -> None:
        value = VALUES[self.random.choice(("github-pat", "npmjsaccesstoken", "slack-bot-token"))]
        path = self.new_path()
        self.put(path, FILE, in_source(value))
        self.put(b"again-" + path.replace(b"/", b"-"), FILE, in_source(value))

    def binary(self) -> None:
        self.put(self.new_path(), FILE, b"\0\1\2" + self.random.randbytes(50))

    def minified(self) -> None:
        self.put(b"app/%d.js" % self.number, FILE, b"var a=1;" * 300)

    def generated(self) -> None:
        self.put(
            b"app/gen%d.go" % self.number, FILE, b"// Code generated; DO NOT EDIT.\npackage p\nfunc G() {}\n"
        )

    def licence(self) -> None:
        self.put(b"LICENSE", FILE, b"MIT License %d\n" % self.number)
        self.put(b"README.md", FILE, b"# Title %d\n" % self.number)

    def nothing(self) -> None:
        """An empty commit."""
