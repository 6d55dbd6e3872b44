"""What follows from the path of a file alone, or from the name of its language."""

from __future__ import annotations

import re
from typing import Final

# Folders that by custom hold other people's code: those of the languages' package managers, and GitHub linguist's.
_VENDORED: Final = frozenset(
    """vendor vendored vendors _vendor third_party third-party thirdparty 3rdparty 3rd_party node_modules
    bower_components jspm_packages web_modules site-packages dist-packages godeps pods carthage .yarn .bundle""".split()
)
# By custom documentation: GitHub linguist's list, without examples and samples, which are code.
_DOCUMENTATION: Final = re.compile(
    r"docs?/|man/|(?:.*/)?(?:documentation|javadoc|groovydoc)/"
    r"|(?:.*/)?(?:readme|change(?:s|log)?|contributing|copying|install|licen[cs]e)(?:[.-][^/]*)?\Z",
    re.I | re.S,
)


def vendored(path: str) -> bool:
    """Whether a path lies in a folder that by custom holds other people's code, such as `vendor/`, at any depth."""
    return not _VENDORED.isdisjoint(path.lower().split("/")[:-1])


def documentation(path: str) -> bool:
    """Whether a path is by custom documentation: in the root's `docs/`, in `documentation/`, or such as `README.md`."""
    return _DOCUMENTATION.match(path) is not None


PROSE: Final = (
    "AsciiDoc",
    "LaTeX",
    "License",
    "Markdown",
    "Org",
    "Plain Text",
    "ReStructuredText",
    "Rich Text Format",
    "TeX",
    "Textile",
)
"""Languages, by scc's names, whose lines are text for people: they are counted apart from code."""
