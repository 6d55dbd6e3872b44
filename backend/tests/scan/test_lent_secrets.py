"""What a manifest that holds a secret lends to another is hidden there too."""

from __future__ import annotations

import pytest

from snapshotter.archive.manifest import ScanSettings
from snapshotter.scan import table_rows
from snapshotter.scan.dependencies import Manifests
from snapshotter.scan.listing import Listing, TreeEntry
from snapshotter.scan.reading_plan import plan_reading
from snapshotter.scan.redaction import REDACTED, Redaction
from snapshotter.scan.secrets import SecretFinding
from snapshotter.scan.tree_contents import TreeContents

VALUE = "0123456789abcdef0123"
LENDERS = {
    "a constraint": ("c.txt", f"x==={VALUE}\n", "requirements.txt", "-c c.txt\nx\n"),
    "a workspace": (
        "Cargo.toml",
        f'[workspace.dependencies]\nx = {{ git = "https://h/{VALUE}" }}\n',
        "m/Cargo.toml",
        "[dependencies]\nx.workspace = true\n",
    ),
    "a parent": (
        "pom.xml",
        f"<project><groupId>g</groupId><artifactId>p</artifactId><properties><v>{VALUE}</v></properties></project>",
        "m/pom.xml",
        "<project><parent><groupId>g</groupId><artifactId>p</artifactId><version>1</version></parent><dependencies>"
        "<dependency><groupId>a</groupId><artifactId>x</artifactId><version>${v}</version></dependency>"
        "</dependencies></project>",
    ),
    "what is over a project": (
        "Directory.Build.props",
        f"<Project><PropertyGroup><V>1{VALUE}</V></PropertyGroup></Project>",
        "A.csproj",
        '<Project><PackageReference Include="x" Version="$(V)" /></Project>',
    ),
}


@pytest.mark.parametrize("leaky", [True, False])
@pytest.mark.parametrize("lender", LENDERS)
def test_what_is_lent_is_hidden_where_the_lender_holds_a_secret(lender: str, leaky: bool) -> None:
    lends, text, takes, other = LENDERS[lender]
    blobs = {lends: "a" * 40, takes: "b" * 40}
    manifests = Manifests()
    manifests.add(lends, text.encode())
    manifests.add(takes, other.encode())
    contents = TreeContents(
        dependencies={takes: manifests.rows(takes)}, lenders={takes: manifests.lenders(takes)}
    )
    entries = [TreeEntry(path.encode(), 0o100644, blobs[path]) for path in sorted(blobs)]
    limits = ScanSettings(max_file_bytes=9, max_total_bytes=9, max_files=9, scanner_seconds=9, exclude=[])
    plan = plan_reading(Listing("c" * 40, "t" * 40, entries, False, []), (), limits)
    findings = [SecretFinding(blobs[lends], "rule", 1, "high", "f")] if leaky else []
    rows = repr(list(table_rows.dependencies(plan, contents, Redaction(findings))))
    assert (VALUE in rows) != leaky
    assert (REDACTED in rows) == leaky
    assert "x" in rows
