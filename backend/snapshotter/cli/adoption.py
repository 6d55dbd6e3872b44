"""`snapshotter doctor --adopt`: what would a bucket in use lose to the template?"""

from __future__ import annotations

from pathlib import Path

from snapshotter.base.text import human_bytes
from snapshotter.cli.new_file import write_new
from snapshotter.cli.output import Output
from snapshotter.cli.session import Session

_MOST_SENT = (
    51_200  # bytes of a template that CloudFormation takes without an upload ("CloudFormation quotas")
)


def adoption(session: Session, path: Path, parameters: list[str], output: Path | None) -> Output:
    """Look at the store's bucket, or the template's own, and its role; write the merged template if asked to."""
    from snapshotter.aws import endpoint, identity
    from snapshotter.cli import describe_adoption
    from snapshotter.doctor.adoption import applied_template
    from snapshotter.doctor.adoption.adopt import look
    from snapshotter.doctor.adoption.effects import verdict
    from snapshotter.doctor.adoption.reading import Reader

    template = applied_template.read(path)
    given = applied_template.of_store(session.store_uri) | applied_template.pairs(parameters)
    where = endpoint.resolve(session.env)
    endpoint.require_tls(where.url, allow_http=session.allow_http)
    aws = endpoint.session(where.region)
    identity.source(aws, session.env)  # says which credentials are missing
    caller = identity.caller(aws)
    session.observer.stage("reading the bucket and its role")
    found = look(Reader(aws, where, session.cancel.check), template, given, caller, where.region)
    merged = applied_template.merged(template, found.parameters_to_keep, found.additions)
    lines = describe_adoption.adoption(found)
    document = found.document() | {"template": str(path), "merged": merged}
    if output is not None and not found.of("unread"):  # what was not read would be missing in it
        data = applied_template.written(merged).encode()
        write_new(output, data)
        document["output"] = str(output)
        large = " (upload it to S3 first, and give --template-url)" if len(data) > _MOST_SENT else ""
        lines.append(f"{output}  {human_bytes(len(data))}: the template, with all of this kept{large}")
    elif output is not None:
        lines.append(f"{output} was not written: something could not be read")
    return Output(document, lines, verdict(found))
