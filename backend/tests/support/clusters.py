"""Certificates for clusters, made by the guide's own commands."""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

_GUIDE = Path(__file__).resolve().parents[3] / "docs" / "aws.md"


@cache
def certificates_by_the_guide(number: int = 0) -> str:
    """What docs/aws.md makes for the secret of a fleet's cluster; another `number`, another CA."""
    (commands,) = re.findall(
        r"<!-- certificates -->\n```bash\n(.*?)```", _GUIDE.read_text(encoding="utf-8"), re.S
    )
    script = f'set -e\n{commands}\ncat "$CERTS/tls.json"\nrm -r "$CERTS"\n'
    made = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return made.stdout
