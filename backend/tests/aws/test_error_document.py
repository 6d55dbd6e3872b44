"""S3's error documents as they come: quoted, cut short, escaped, and written by somebody else."""

from __future__ import annotations

import pytest

from snapshotter.aws.error_document import ErrorDocument, named_action, named_caller, named_policy, read

ARN = "arn:aws:sts::123456789012:assumed-role/r/s"
MESSAGE = (
    f'User: {ARN} is not authorized to perform: s3:ListBucket on resource: "arn:aws:s3:::b" because no {{}}'
)


def test_a_document_is_read_out_of_the_text_that_quotes_it() -> None:
    text = (
        "Error performing PUT https://b.s3.amazonaws.com/k in 3ms - Server returned non-2xx status code: 403 "
        "Forbidden: <?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>it is &quot;so&quot;\n &lt;b&gt;"
        "</Message><RequestId>0A1B.c-d</RequestId><HostId>x=</HostId></Error>"
    )
    assert read(text) == ErrorDocument("AccessDenied", 'it is "so" <b>', "0A1B.c-d", None)
    assert read("<Error><Code>AccessDenied</Code><Mess") == ErrorDocument("AccessDenied")
    assert read("status code: 403") == ErrorDocument()
    assert read("<Code>AuthorizationHeaderMalformed</Code><Region>eu-west-1</Region>").region == "eu-west-1"


def test_what_a_stranger_wrote_is_one_short_line_without_a_credential() -> None:
    hostile = "\x1b[2J\n" + "https://user:secret@host/ " + "x" * 5000
    message = read(f"<Message>{hostile[:3000]}</Message>").message or ""
    assert len(message) <= 600
    assert not {"\x1b", "\n"} & set(message)
    assert "secret" not in message


@pytest.mark.parametrize(
    ("why", "kind", "explicit"),
    [
        ("with an explicit deny in a resource-based policy", "bucket", True),
        ("with an explicit deny in an identity-based policy", "identity", True),
        (
            "with an explicit deny in a service control policy: arn:aws:organizations::1:policy/x",
            "organisation",
            True,
        ),
        ("with an explicit deny in a VPC endpoint policy", "endpoint", True),
        ("because no VPC endpoint policy allows the s3:GetObject action", "endpoint", False),
        ("because no session policy allows the s3:GetObject action", "session", False),
        ("because no permissions boundary allows the s3:GetObject action", "boundary", False),
    ],
)
def test_the_policy_is_named_in_each_of_s3s_sentences(why: str, kind: str, explicit: bool) -> None:
    policy = named_policy(f"User: {ARN} is not authorized to perform: s3:GetObject on resource: x {why}")
    assert policy is not None
    assert (policy.kind, policy.explicit) == (kind, explicit)


def test_who_and_what_are_named_and_a_bare_sentence_names_nothing() -> None:
    sentence = MESSAGE.format("identity-based policy allows the s3:ListBucket action")
    assert (named_caller(sentence), named_action(sentence)) == (ARN, "s3:ListBucket")
    assert (
        named_caller("User: nobody is not authorized to perform: s3:GetObject"),
        named_policy("Access Denied"),
    ) == (None, None)
    assert named_policy(None) is named_action(None) is None
