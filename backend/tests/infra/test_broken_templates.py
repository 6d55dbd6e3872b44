"""The structural tests see a template that is broken: each rule is taken out of a copy, and its test must fail."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType

import pytest

from tests.infra import (
    template,
    test_alarms_template,
    test_audit_template,
    test_fleet_template,
    test_replica_template,
    test_service_template,
    test_storage_template,
)

# What a failing test raises; the last is pytest's "DID NOT RAISE".
FAILS = (AssertionError, ValueError, LookupError, pytest.fail.Exception)


@dataclass(frozen=True)
class Broken:
    """One change of a template's text, and the test that must see it."""

    path: Path
    before: str
    after: str
    module: ModuleType
    test: str
    arguments: dict[str, object] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.path.name}: {self.before.strip().splitlines()[0]}"


def storage(before: str, after: str, test: str, **arguments: object) -> Broken:
    return Broken(template.STORAGE, before, after, test_storage_template, test, arguments)


def service(before: str, after: str, test: str, **arguments: object) -> Broken:
    return Broken(template.SERVICE, before, after, test_service_template, test, arguments)


def fleet(before: str, after: str, test: str, **arguments: object) -> Broken:
    return Broken(template.FLEET, before, after, test_fleet_template, test, arguments)


def replica(before: str, after: str, test: str, **arguments: object) -> Broken:
    return Broken(template.REPLICA, before, after, test_replica_template, test, arguments)


def audit(before: str, after: str, test: str, **arguments: object) -> Broken:
    return Broken(template.AUDIT, before, after, test_audit_template, test, arguments)


def alarms(before: str, after: str, test: str, **arguments: object) -> Broken:
    return Broken(template.ALARMS, before, after, test_alarms_template, test, arguments)


EVERYTHING = test_storage_template.EVERYTHING
EXPIRY, LOCK = "test_an_expiry_leaves_the_retention_that_was_asked_for", "test_a_lock_outlives_the_chain"
NO_OVERLAP = "test_no_two_rules_with_a_prefix_alone_overlap_for_one_action"
NOTHING_BY_TAG = "test_nothing_expires_by_a_tag"
WRITE_ONCE = "test_write_once_is_for_all_that_a_run_writes_and_not_for_tests"
DEPTH = "${Prefix}*/*/*/*/*/*"

BROKEN = [
    storage("'30': '396'", "'30': '366'", EXPIRY, retention="365", age="30"),
    storage("[!Ref MaxChainAgeDays, '0']", "[!Ref MaxChainAgeDays, 'x']", EXPIRY, retention="365", age="0"),
    storage("- !Not [!Contains [['30'], ", "- !Not [!Contains [['x'], ", LOCK, days="30", age="60"),
    storage("Mode: GOVERNANCE", "Mode: COMPLIANCE", LOCK, days="90", age="30"),
    storage(", ObjectSizeGreaterThan: '1'", "", NO_OVERLAP, parameters=EVERYTHING),
    storage(
        "'${Prefix}g'",
        "'${Prefix}'",
        "test_repositories_expire_and_what_the_service_needs_does_not",
        key="_jobs/nightly.json",
        expires=False,
    ),
    storage("_diagnostics/'", "'", NO_OVERLAP, parameters={}),
    storage(
        "ObjectSizeGreaterThan: '1'",
        "TagFilters: [{Key: a, Value: b}]",
        NOTHING_BY_TAG,
        parameters=EVERYTHING,
    ),
    storage(DEPTH, "${Prefix}*", WRITE_ONCE, key="policy-tests/note.txt", covered=False),
    storage(DEPTH, "${Prefix}*/*/*/*/*/*/*", WRITE_ONCE, key="a/2026/11/23/run/manifest.json", covered=True),
    storage("${Prefix}_lfs/*", "${Prefix}_x/*", WRITE_ONCE, key="_lfs/h__a/5c/5c/" + "5c" * 32, covered=True),
    storage(DEPTH, "*", WRITE_ONCE, key="policy-tests/note.txt", covered=False),
    storage(
        "Default: 'true'",
        "Default: 'false'",
        "test_write_once_denies_a_put_without_if_none_match_but_not_the_parts_of_a_multipart_upload",
    ),
    storage(
        "                - s3:DeleteObject*\n                - s3:Bypass",
        "                - s3:Bypass",
        "test_outsiders_are_refused_objects_and_only_break_glass_deletes",
    ),
    storage("ArnNotLike:", "ArnLike:", "test_outsiders_are_refused_objects_and_only_break_glass_deletes"),
    storage("    Condition: WithOperatorsGroup\n", "", "test_the_operators_group_is_an_option"),
    storage(
        "          Value: !Ref Owner\n\n  BucketPolicy",
        "          Value: x\n\n  BucketPolicy",
        "test_all_that_can_be_tagged_is",
    ),
    fleet(
        "      SourceSecurityGroupId: !Ref WorkerSecurityGroup",
        "      CidrIp: 0.0.0.0/0",
        "test_run_and_workers_hear_each_other_and_nobody_else",
    ),
    fleet("ToPort: 8803", "ToPort: 8802", "test_the_ports_are_those_that_the_programs_listen_at"),
    fleet(
        "                Next: WorkersDown\n            Next: WorkersDown",
        "                Next: Failed\n            Next: WorkersDown",
        "test_workers_are_up_before_the_run_and_down_after_it_however_it_ends",
    ),
    fleet(
        "Resource: !GetAtt DeadLetters.Arn",
        "Resource: '*'",
        "test_only_what_takes_no_resource_is_allowed_on_all",
    ),
    fleet(
        "      TreatMissingData: breaching",
        "      TreatMissingData: ignore",
        "test_silence_of_26_hours_rings",
    ),
    fleet(
        "StringMatches: '*\"ExitCode\":3,*'",
        "StringMatches: '*\"ExitCode\":*'",
        "test_a_run_in_which_some_failed_is_a_finished_one",
        failure={"Error": "States.TaskFailed", "Cause": '{"ExitCode":4,"x":1}'},
        expected="Failed",
    ),
    fleet(
        "Default: cron(47 1 * * ? *)",
        "Default: cron(17 0 * * ? *)",
        "test_by_default_the_late_bound_comes_after_the_longest_run_and_before_the_next",
    ),
    replica(
        "Status: Enabled\n      # Governance",
        "Status: Suspended\n      # Governance",
        "test_the_buckets_have_the_same_settings",
        parameters={},
    ),
    replica("'30': '396'", "'30': '397'", "test_the_buckets_have_the_same_settings", parameters={}),
    replica(
        "aws:SecureTransport: 'false'",
        "aws:SecureTransport: 'true'",
        "test_the_bucket_policies_deny_the_same",
    ),
    Broken(
        template.STORAGE,
        "- s3:ReplicateTags",
        "- s3:ReplicateDelete",
        test_replica_template,
        "test_the_replication_role_reads_here_writes_there_and_deletes_nowhere",
    ),
    audit(
        "StartsWith:",
        "NotStartsWith:",
        "test_the_trail_records_every_object_under_the_prefix_and_every_change_of_settings",
    ),
    audit(
        "s3:x-amz-acl: bucket-owner-full-control",
        "s3:x-amz-acl: private",
        "test_only_the_trail_writes_into_its_bucket_and_the_bucket_stays",
    ),
    audit(
        "aws:MultiFactorAuthPresent: 'true'",
        "aws:MultiFactorAuthPresent: 'false'",
        "test_named_people_with_a_second_factor_become_the_break_glass_role_for_an_hour",
    ),
    audit(
        "                  - s3:DeleteObjectVersion\n",
        "                  - s3:*\n",
        "test_the_break_glass_role_purges_under_the_prefix_and_can_do_nothing_else",
    ),
    audit("            - DeleteObjects\n", "", "test_deletes_and_changes_of_the_rules_are_told_at_once"),
    audit(
        "            - DeleteBucketEncryption\n", "", "test_deletes_and_changes_of_the_rules_are_told_at_once"
    ),
    audit(
        "Equals: [DeleteObjects]",
        "Equals: [DeleteObject]",
        "test_the_trail_records_every_object_under_the_prefix_and_every_change_of_settings",
    ),
    replica(
        "                - s3:DeleteObject*\n                - s3:Bypass",
        "                - s3:Bypass",
        "test_a_closed_circle_of_the_original_can_be_closed_here_too",
    ),
    alarms(
        "KmsMasterKeyId: !GetAtt Key.Arn",
        "KmsMasterKeyId: alias/aws/sns",
        "test_whoever_publishes_may_use_the_key_that_encrypts",
    ),
    alarms(
        "[cloudwatch.amazonaws.com, budgets.amazonaws.com, events",
        "[budgets.amazonaws.com, events",
        "test_whoever_publishes_may_use_the_key_that_encrypts",
    ),
    alarms(
        "user:Project",
        "user:Owner",
        "test_the_budget_counts_what_the_templates_tag_and_rings_before_and_at_its_limit",
    ),
    service(
        "'${TaskDeadlineHours}.5h'",
        "'${TaskDeadlineHours}h'",
        "test_a_job_ends_itself_in_time_and_a_program_that_hangs_is_killed_half_an_hour_later",
    ),
    service(
        "    DeletionPolicy: Retain\n", "", "test_logs_and_the_endpoint_that_others_share_survive_the_stack"
    ),
    service(
        "          PropagateTags: TASK_DEFINITION\n",
        "",
        "test_all_that_can_be_tagged_is_and_tags_reach_the_tasks",
    ),
    service(
        "          Value: !Ref ServiceName\n      Statistic",
        "          Value: snapshotter\n      Statistic",
        "test_no_alarm_of_one_stack_watches_what_another_measures",
    ),
    service(
        "      Dimensions:\n        - Name: Cluster\n          Value: !GetAtt Cluster.Arn\n",
        "      Dimensions: []\n",
        "test_no_alarm_of_one_stack_watches_what_another_measures",
    ),
    service(
        "          Arn: !GetAtt DeadLetters.Arn\n",
        "          Arn: x\n",
        "test_the_schedule_runs_one_task_a_day",
    ),
    service(
        '\\"newest\\": true',
        '\\"quick\\": true',
        "test_proof_and_verification_run_as_the_same_task_with_another_job",
        schedule="VerifySchedule",
        name="verify",
        when="cron(47 5 ? * SUN *)",
        job={"verb": "verify", "newest": True},
    ),
    service(
        "              - logs:GetLogEvents\n",
        "              - logs:GetLogEvents\n              - logs:DeleteLogGroup\n",
        "test_on_call_may_read_logs_and_run_the_task_and_change_nothing_of_the_service",
    ),
    service("FromPort: !Ref ExtraPort\n", "FromPort: 0\n", "test_two_more_ports_go_out_when_asked"),
]


@pytest.mark.parametrize("broken", BROKEN, ids=str)
def test_a_broken_template_is_seen(broken: Broken, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = broken.path.read_text(encoding="utf-8")
    assert broken.before in text, "the template says it in other words now"
    copy = tmp_path / broken.path.name
    copy.write_text(text.replace(broken.before, broken.after), encoding="utf-8")
    name = broken.path.stem.upper()
    monkeypatch.setattr(template, name, copy)
    monkeypatch.setattr(broken.module, name, copy)
    test: Callable[..., None] = getattr(broken.module, broken.test)

    with pytest.raises(FAILS):
        test(**broken.arguments)
