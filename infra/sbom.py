"""The image's bill of materials, on stdout: every Python distribution of this interpreter, and Debian's packages.

    python infra/sbom.py >sbom.cdx.json

In CycloneDX 1.6 (its JSON reference). Equal contents make equal bytes: it has no time, and its serial number is made
of what it lists. What a distribution brings inside its own files, such as the modules of a compiled scanner, is not
seen. It runs in the image's build, by the standard library and two packages that the product itself depends on.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import uuid
from importlib import metadata
from typing import Any

from packageurl import PackageURL
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PRODUCT = "fruitful-snapshotter"
_DEBIAN = "${Package}\t${Version}\t${Architecture}\n"


def python_components() -> dict[str, dict[str, Any]]:
    """Each installed distribution as a component, by its canonical name."""
    found = {}
    for each in metadata.distributions():
        name = canonicalize_name(each.metadata["Name"])
        kind = "application" if name == PRODUCT else "library"
        found[name] = _component(
            kind, name, each.version, PackageURL("pypi", name=name, version=each.version)
        )
        if licence := each.metadata.get("License-Expression"):
            found[name]["licenses"] = [{"expression": licence}]
    return found


def debian_components() -> list[dict[str, Any]]:
    """Debian's packages as components; none where there is no dpkg."""
    if not shutil.which("dpkg-query"):
        return []
    listed = subprocess.run(
        ["dpkg-query", "--show", f"--showformat={_DEBIAN}"], capture_output=True, text=True, check=True
    )
    components = []
    for line in sorted(listed.stdout.splitlines()):
        name, version, architecture = line.split("\t")
        purl = PackageURL("deb", "debian", name, version, {"arch": architecture})
        components.append(_component("library", name, version, purl))
    return components


def dependencies(components: dict[str, dict[str, Any]]) -> list[dict[str, Any]]:
    """Which installed distribution asks for which; the product with its extras."""
    rows = []
    for name, component in sorted(components.items()):
        extras = ["", *(metadata.metadata(name).get_all("Provides-Extra") or () if name == PRODUCT else ())]
        wanted = {
            canonicalize_name(each.name)
            for each in map(Requirement, metadata.requires(name) or ())
            if not each.marker or any(each.marker.evaluate({"extra": extra}) for extra in extras)
        }
        refs = sorted(components[each]["bom-ref"] for each in wanted & components.keys())
        rows.append({"ref": component["bom-ref"], "dependsOn": refs})
    return rows


def bill() -> dict[str, Any]:
    """The whole document."""
    python = python_components()
    body = {
        "metadata": {"component": python[PRODUCT]} if PRODUCT in python else {},
        "components": [python[name] for name in sorted(python) if name != PRODUCT] + debian_components(),
        "dependencies": dependencies(python),
    }
    serial = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(body, sort_keys=True))
    head = {"bomFormat": "CycloneDX", "specVersion": "1.6", "serialNumber": serial.urn, "version": 1}
    return head | body


def _component(kind: str, name: str, version: str, purl: PackageURL) -> dict[str, Any]:
    text = purl.to_string()
    return {"type": kind, "bom-ref": text, "name": name, "version": version, "purl": text}


if __name__ == "__main__":
    json.dump(bill(), sys.stdout, indent=1)
    sys.stdout.write("\n")
