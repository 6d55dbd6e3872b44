"""`prove` sees every change of the policies: each mutant of the list fails on at least one real server.

A few mutants run always, all of them with --full.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest
from botocore.exceptions import ClientError

from snapshotter.access.bucket_probes import PROBES
from snapshotter.access.proof import Status, Target, error_of
from snapshotter.access.prove import prove
from snapshotter.base.errors import Finding
from tests.access.mutants import ACCESS, BUCKET, MUTANTS, Mutant
from tests.access.support import SCOPE, connection, ids, make_bucket
from tests.infra.template import access_policy, bucket_policy
from tests.servers import USER, Server, client, ministack, rgw

# Whether parts are taken is reported, and either answer is lawful; a lock's days are changed where there is a lock. No
# change of a policy makes these two fail.
ROWS = {probe.id for probe in PROBES} - {"multipart-part", "lock-shorter"}
START = {"rgw": rgw, "ministack": ministack}
ID = {mutant.id: mutant for mutant in MUTANTS}
QUICK = {
    "rgw": (
        "no-missing-header-deny",
        "public-read",
        "use-without-slash",
        "grant-DeleteObject",
        "use-tests-only",
        "missing-header-of-tests-only",
    ),
    "ministack": (
        "no-tls-deny",
        "no-wrong-header-deny",
        "list-unconditioned",
        "use-no-put",
        "grant-PutBucketPolicy",
        "grant-*",
        "tls-deny-of-tests-only",
        "wrong-header-of-tests-only",
        "list-tests-only",
    ),
}
# RADOS Gateway refuses a policy that names an action which it does not know.
UNKNOWN_TO_RGW = {
    "grant-GetBucketOwnershipControls",
    "grant-GetEncryptionConfiguration",
    "grant-PutBucketOwnershipControls",
    "grant-PutEncryptionConfiguration",
}


def run(server: Server, mutants: Iterable[Mutant]) -> Iterator[tuple[Mutant, set[str]]]:
    """The rows that fail on each mutant, in a bucket of its own."""
    for mutant in mutants:
        bucket = f"m-{mutant.id}".lower().replace("*", "all")
        original = bucket_policy(BucketName=bucket), access_policy(BucketName=bucket)
        changed = mutant.apply(bucket, *original)
        assert mutant.settings or changed != original
        try:
            make_bucket(server, bucket, *changed, mutant.settings)
        except ClientError:
            assert server.kind == "rgw" and mutant.id in UNKNOWN_TO_RGW, mutant.id
            continue
        proof = prove(connection(server, server.user), Target(bucket, SCOPE), scoped=True)
        client(server, server.owner, "iam").delete_user_policy(UserName=USER, PolicyName=f"access-{bucket}")
        failed = ids(proof, Status.FAILED)
        assert not failed or isinstance(error_of(proof), Finding)
        yield mutant, failed


def test_the_list_has_each_statement_of_both_policies() -> None:
    assert len(MUTANTS) >= 20
    assert len(ID) == len(MUTANTS)
    # Neither server knows the keys of DenyOverwrite: no row could fail on a change of it.
    judged = bucket_policy(EnforceWriteOnce="false")
    for policy, template in ((BUCKET, judged), (ACCESS, access_policy())):
        for statement in template["Statement"]:
            changed = {
                mutant.field
                for mutant in MUTANTS
                if mutant.policy == policy and mutant.sid == statement["Sid"]
            }
            wanted = {None, "Resource", *statement.keys() & {"Condition"}}
            assert wanted <= changed, statement["Sid"]
    assert {row for mutant in MUTANTS for row in mutant.fails} == ROWS


@pytest.mark.parametrize("kind", START)
def test_prove_fails_on_a_few_mutants(kind: str) -> None:
    with START[kind]() as server:
        for mutant, failed in run(server, [ID[name] for name in QUICK[kind]]):
            assert failed & set(mutant.fails), mutant.id


@pytest.mark.full
def test_prove_fails_on_every_mutant_and_every_row_on_some_mutant() -> None:
    failures: dict[str, set[str]] = {mutant.id: set() for mutant in MUTANTS}
    for start in START.values():
        with start() as server:
            for mutant, failed in run(server, MUTANTS):
                failures[mutant.id] |= failed
    assert [name for name, failed in failures.items() if not failed] == []
    assert {
        name: set(ID[name].fails) - failed
        for name, failed in failures.items()
        if set(ID[name].fails) - failed
    } == {}
    assert ROWS - set().union(*failures.values()) == set()
