"""infra/service.yaml runs the task as promised, and rings when there is no snapshot."""

import json
import subprocess
from datetime import timedelta
from typing import Any

import pytest

from snapshotter.base.settings import parse_span
from snapshotter.base.variables import DEFAULTS, SETTINGS
from snapshotter.fleet.document import VARIABLE, read
from snapshotter.fleet.stored_job import reference_in
from tests.infra.template import SERVICE, STORAGE, load, resolve

REQUIRED: dict[str, str | int] = {
    "Image": "registry.example.org/snapshotter@sha256:" + "0" * 64,
    "Job": '{"origins": ["https://git.example.org/team/project.git"]}',
    "VpcId": "vpc-1",
    "SubnetIds": "subnet-1,subnet-2",
}
SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:git-token-AbCdEf"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:on-call"
CLUSTER = "arn:aws:ecs:eu-central-1:123456789012:cluster/fruitful-repo-snapshotter"
TASK_ROLE = "arn:aws:iam::123456789012:role/fruitful-repo-snapshotter-task-role"
EXECUTION_ROLE = "arn:aws:iam::123456789012:role/fruitful-repo-snapshotter-execution-role"
TASK_DEFINITION = "arn:aws:ecs:eu-central-1:123456789012:task-definition/fruitful-repo-snapshotter"
LOGS = "arn:aws:logs:eu-central-1:123456789012:log-group"
TAGS = [{"Key": "Project", "Value": "fruitful-snapshotter"}, {"Key": "Owner", "Value": "fruitful-lab"}]
DEAD_LETTERS = "arn:aws:sqs:eu-central-1:123456789012:fruitful-repo-snapshotter-dead-letters"


def resources(**parameters: str | int) -> dict[str, Any]:
    return resolve(SERVICE, **REQUIRED | parameters)["Resources"]


def properties(name: str, **parameters: str | int) -> dict[str, Any]:
    return resources(**parameters)[name]["Properties"]


def container(**parameters: str | int) -> dict[str, Any]:
    (only,) = properties("TaskDefinition", **parameters)["ContainerDefinitions"]
    return only


def inline_policy(role: str, **parameters: str | int) -> list[dict[str, Any]]:
    (policy,) = properties(role, **parameters)["Policies"]
    assert policy["PolicyDocument"]["Version"] == "2012-10-17"
    return policy["PolicyDocument"]["Statement"]


def test_shared_names_have_the_defaults_of_the_storage_template() -> None:
    service, storage = load(SERVICE)["Parameters"], load(STORAGE)["Parameters"]

    for name in ("BucketName", "Prefix", "TaskRoleName", "MaxChainAgeDays", "Project", "Owner"):
        assert service[name]["Default"] == storage[name]["Default"]
    assert service["MaxChainAgeDays"]["AllowedValues"] == storage["MaxChainAgeDays"]["AllowedValues"]
    assert service["Prefix"]["AllowedPattern"] == storage["Prefix"]["AllowedPattern"]
    assert service["ServiceName"]["Default"] == "fruitful-repo-snapshotter"


def test_no_production_name_is_left_when_every_parameter_is_given() -> None:
    names = {
        "BucketName": "b-1",
        "Prefix": "p/",
        "TaskRoleName": "role-1",
        "ServiceName": "service-1",
        "ImageRepositoryName": "image-1",
        "Project": "project-1",
        "Owner": "owner-1",
    }

    text = json.dumps(resolve(SERVICE, **REQUIRED | names)["Resources"])

    assert "fruitful" not in text
    assert "repo-scans" not in text


def test_the_service_makes_these_things_and_nothing_else() -> None:
    # In particular no access key, no secret of its own, and no further policy for the task role.
    assert {name: one["Type"] for name, one in load(SERVICE)["Resources"].items()} == {
        "Cluster": "AWS::ECS::Cluster",
        "LogGroup": "AWS::Logs::LogGroup",
        "ExecutionRole": "AWS::IAM::Role",
        "TaskDefinition": "AWS::ECS::TaskDefinition",
        "SecurityGroup": "AWS::EC2::SecurityGroup",
        "SshEgress": "AWS::EC2::SecurityGroupEgress",
        "ExtraEgress": "AWS::EC2::SecurityGroupEgress",
        "SecondExtraEgress": "AWS::EC2::SecurityGroupEgress",
        "S3Endpoint": "AWS::EC2::VPCEndpoint",
        "ScheduleGroup": "AWS::Scheduler::ScheduleGroup",
        "SchedulerRole": "AWS::IAM::Role",
        "OnCallPolicy": "AWS::IAM::ManagedPolicy",
        "Schedule": "AWS::Scheduler::Schedule",
        "ProofSchedule": "AWS::Scheduler::Schedule",
        "VerifySchedule": "AWS::Scheduler::Schedule",
        "DeadLetters": "AWS::SQS::Queue",
        "FailedTasks": "AWS::Events::Rule",
        "FailedTasksLogGroup": "AWS::Logs::LogGroup",
        "FailedTasksLogPolicy": "AWS::Logs::ResourcePolicy",
        "FailedTasksCount": "AWS::Logs::MetricFilter",
        "TaskFailedAlarm": "AWS::CloudWatch::Alarm",
        "ScheduleFailedAlarm": "AWS::CloudWatch::Alarm",
        "InvocationDroppedAlarm": "AWS::CloudWatch::Alarm",
        "DeadLettersAlarm": "AWS::CloudWatch::Alarm",
        "SnapshotFailedAlarm": "AWS::CloudWatch::Alarm",
        "StaleAlarm": "AWS::CloudWatch::Alarm",
        "ScanFailedAlarm": "AWS::CloudWatch::Alarm",
        "DamagedAlarm": "AWS::CloudWatch::Alarm",
        "NoSnapshotAlarm": "AWS::CloudWatch::Alarm",
    }


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("Prefix", "repo-scans/snapshotter"),
        ("ServiceName", "Snapshotter"),
        ("AssignPublicIp", "yes"),
        ("AllowSsh", "yes"),
        ("CpuArchitecture", "amd64"),
        ("Cpu", "100"),
        ("Memory", "4 GB"),
        ("EphemeralStorage", 20),
        ("EphemeralStorage", 201),
        ("ScheduleState", "off"),
        ("MaxChainAgeDays", "31"),
        ("TaskDeadlineHours", 23),  # the next day's run would meet it
        ("TaskDeadlineHours", 0),
        ("ExtraPort", 65536),
        ("LogRetentionDays", 1),
        ("AlarmTopicArn", "on-call@example.org"),
        ("OnCallPolicyName", "on call"),
    ],
)
def test_a_value_that_could_not_work_is_refused(parameter: str, value: str | int) -> None:
    with pytest.raises(ValueError, match=parameter):
        resources(**{parameter: value})


# ---- the task


def test_the_task_runs_on_fargate_in_its_own_cluster() -> None:
    task = properties("TaskDefinition")

    assert properties("Cluster") == {
        "ClusterName": "fruitful-repo-snapshotter",
        "ClusterSettings": [{"Name": "containerInsights", "Value": "enabled"}],
        "Tags": TAGS,
    }
    assert task["Family"] == "fruitful-repo-snapshotter"
    assert task["RequiresCompatibilities"] == ["FARGATE"]
    assert task["NetworkMode"] == "awsvpc"
    assert task["RuntimePlatform"] == {"OperatingSystemFamily": "LINUX", "CpuArchitecture": "X86_64"}
    assert (task["Cpu"], task["Memory"]) == ("1024", "4096")
    assert task["EphemeralStorage"] == {"SizeInGiB": 40}


def test_the_program_has_the_task_role_and_ecs_a_separate_one() -> None:
    task = properties("TaskDefinition")

    assert task["TaskRoleArn"] == TASK_ROLE
    assert task["ExecutionRoleArn"] == EXECUTION_ROLE
    assert properties("ExecutionRole")["RoleName"] == "fruitful-repo-snapshotter-execution-role"


def test_the_container_runs_snapshotter_job_whatever_the_images_entry_point() -> None:
    assert container()["Name"] == "snapshotter"
    assert container()["EntryPoint"][-1] == "snapshotter"
    assert container()["Command"] == ["job"]
    assert container()["Essential"] is True


def test_a_job_ends_itself_in_time_and_a_program_that_hangs_is_killed_half_an_hour_later() -> None:
    found = container(TaskDeadlineHours=8)

    assert found["EntryPoint"] == ["timeout", "--foreground", "--kill-after=60s", "8.5h", "snapshotter"]
    assert {"Name": "SNAPSHOTTER_JOB_TIMEOUT", "Value": "8h"} in found["Environment"]
    assert parse_span("8h") == timedelta(hours=8)


def test_what_ends_a_program_that_hangs_understands_its_time_and_hands_on_the_exit_code() -> None:
    *before, _ = container()["EntryPoint"]

    assert subprocess.run([*before, "sh", "-c", "exit 3"], check=False).returncode == 3
    hangs = [*before[:-1], "0.2s", "sleep", "60"]
    assert subprocess.run(hangs, check=False).returncode == 124, "which fails the task, and that rings"
    stopped = [*before, "sh", "-c", "trap 'exit 143' TERM; echo ready; while :; do sleep 0.1; done"]
    with subprocess.Popen(stopped, stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        running.stdout.readline()
        running.terminate()
        assert running.wait() == 143, "a task that ECS stops still says what it did"


def test_a_base_is_as_old_as_the_expiry_allows_for() -> None:
    names = [each["Name"] for each in container()["Environment"]]

    assert not {"SNAPSHOTTER_MAX_CHAIN_AGE", "SNAPSHOTTER_RETENTION", "SNAPSHOTTER_EXPIRY"} & set(names)
    given = {each["Name"]: each["Value"] for each in container(MaxChainAgeDays="30")["Environment"]}
    assert parse_span(given["SNAPSHOTTER_MAX_CHAIN_AGE"]) == timedelta(days=30)


def test_the_program_knows_the_retention_and_the_expiry_that_the_bucket_has() -> None:
    parameters = {"SnapshotRetentionDays": "365", "MaxChainAgeDays": "30"}
    given = {each["Name"]: each["Value"] for each in container(**parameters)["Environment"]}

    assert parse_span(given["SNAPSHOTTER_RETENTION"]) == timedelta(days=365)
    assert parse_span(given["SNAPSHOTTER_EXPIRY"]) == timedelta(days=396)
    assert load(SERVICE)["Mappings"] == load(STORAGE)["Mappings"]
    assert {"SNAPSHOTTER_RETENTION", "SNAPSHOTTER_EXPIRY"} <= set(DEFAULTS)
    with pytest.raises(ValueError, match="ExpiryNeedsAChainAge"):
        container(SnapshotRetentionDays="365")


def test_the_container_is_not_root_and_can_change_nothing_but_tmp() -> None:
    found = container()

    assert found["User"] == "10001:10001"
    assert found["ReadonlyRootFilesystem"] is True
    assert found["LinuxParameters"] == {"InitProcessEnabled": True, "Capabilities": {"Drop": ["ALL"]}}
    assert found["MountPoints"] == [{"SourceVolume": "tmp", "ContainerPath": "/tmp", "ReadOnly": False}]
    assert properties("TaskDefinition")["Volumes"] == [{"Name": "tmp"}]
    assert "Privileged" not in found


@pytest.mark.parametrize("user", ["0:0", "root", "0:10001", "10001:0", "10001"])
def test_root_is_refused(user: str) -> None:
    with pytest.raises(ValueError, match="ContainerUser"):
        resources(ContainerUser=user)


def test_the_image_is_named_by_digest() -> None:
    assert container()["Image"] == REQUIRED["Image"]
    with pytest.raises(ValueError, match="Image"):
        resources(Image="registry.example.org/snapshotter:latest")


def test_the_container_has_time_to_say_what_it_did_after_sigterm() -> None:
    assert container()["StopTimeout"] == 30


def test_settings_come_by_environment() -> None:
    assert container()["Environment"] == [
        {"Name": "AWS_REGION", "Value": "eu-central-1"},
        {"Name": "SNAPSHOTTER_STORE", "Value": "s3://fruitful-lab-snapshots-prod/repo-scans/snapshotter/"},
        {"Name": "SNAPSHOTTER_JOB", "Value": REQUIRED["Job"]},
        {"Name": "SNAPSHOTTER_SERVICE_JOB", "Value": REQUIRED["Job"]},
        {"Name": "SNAPSHOTTER_SERVICE", "Value": "fruitful-repo-snapshotter"},
        {"Name": "SNAPSHOTTER_STALE_AFTER", "Value": "50h"},
        {"Name": "SNAPSHOTTER_JOB_TIMEOUT", "Value": "22h"},
    ]


@pytest.mark.parametrize("job", ["", "origins", "[]"])
def test_a_job_that_is_no_json_object_is_refused(job: str) -> None:
    with pytest.raises(ValueError, match="Job"):
        resources(Job=job)


def test_a_job_that_is_too_large_is_pinned_where_it_lies() -> None:
    uri = "s3://fruitful-lab-snapshots-prod/repo-scans/snapshotter/_jobs/daily-1.json"
    pinned = json.dumps({"document": uri, "sha256": "0" * 64})

    given = {each["Name"]: each["Value"] for each in container(Job=pinned)["Environment"]}
    assert reference_in(given["SNAPSHOTTER_JOB"].encode()) is not None
    assert uri.startswith(f"{given['SNAPSHOTTER_STORE']}_jobs/")


def test_tokens_are_a_secret_that_names_their_hosts_and_never_plain_environment() -> None:
    with_token = container(GitTokensSecretArn=SECRET)

    assert with_token["Secrets"] == [{"Name": "SNAPSHOTTER_GIT_TOKENS", "ValueFrom": SECRET}]
    assert with_token["Environment"] == container()["Environment"]
    assert "Secrets" not in container()
    assert not [name for name in load(SERVICE)["Parameters"] if "token" in name.lower() and "Arn" not in name]
    with pytest.raises(ValueError, match="GitTokensSecretArn"):
        resources(GitTokensSecretArn="ghp_0123456789")


SECRETS = {
    "GitTokensSecretArn": "SNAPSHOTTER_GIT_TOKENS",
    "SshKeySecretArn": "SNAPSHOTTER_SSH_KEY",
    "SshKnownHostsSecretArn": "SNAPSHOTTER_SSH_KNOWN_HOSTS",
    "FingerprintKeySecretArn": "SNAPSHOTTER_FINGERPRINT_KEY",
}


@pytest.mark.parametrize(
    "given", [*({name} for name in SECRETS), set(SECRETS), {"SshKeySecretArn", "GitTokensSecretArn"}]
)
def test_each_secret_comes_from_secrets_manager_and_ecs_may_read_just_those_that_are_given(
    given: set[str],
) -> None:
    arns = {name: f"{SECRET}-{number}" for number, name in enumerate(SECRETS) if name in given}

    assert container(**arns)["Secrets"] == [
        {"Name": SECRETS[name], "ValueFrom": arns[name]} for name in SECRETS if name in given
    ]
    assert container(**arns)["Environment"] == container()["Environment"]
    (read,) = [each for each in inline_policy("ExecutionRole", **arns) if each["Sid"] == "ReadSecrets"]
    assert read["Resource"] == [arns[name] for name in SECRETS if name in given]
    for name in given:
        with pytest.raises(ValueError, match=name):
            resources(**{name: "-----BEGIN OPENSSH PRIVATE KEY-----"})


def test_the_program_knows_every_variable_that_the_task_gives_it() -> None:
    arns = dict.fromkeys(SECRETS, SECRET)
    names = {each["Name"] for each in [*container()["Environment"], *container(**arns)["Secrets"]]}
    secret = {setting.name for setting in SETTINGS if setting.secret}

    assert names - {"AWS_REGION"} <= set(DEFAULTS)
    assert set(SECRETS.values()) - {"SNAPSHOTTER_SSH_KNOWN_HOSTS"} <= secret


def test_logs_are_kept_for_a_time() -> None:
    assert properties("LogGroup") == {
        "LogGroupName": "/ecs/fruitful-repo-snapshotter",
        "RetentionInDays": 365,
        "Tags": TAGS,
    }
    assert properties("LogGroup", LogRetentionDays=30)["RetentionInDays"] == 30
    assert container()["LogConfiguration"] == {
        "LogDriver": "awslogs",
        "Options": {
            "awslogs-group": "/ecs/fruitful-repo-snapshotter",
            "awslogs-region": "eu-central-1",
            "awslogs-stream-prefix": "job",
            "mode": "non-blocking",
            "max-buffer-size": "25m",
        },
    }


def test_logs_and_the_endpoint_that_others_share_survive_the_stack() -> None:
    kept = {name for name, one in load(SERVICE)["Resources"].items() if "DeletionPolicy" in one}

    assert kept == {"LogGroup", "FailedTasksLogGroup", "S3Endpoint"}
    for name in kept:
        found = load(SERVICE)["Resources"][name]
        assert found["DeletionPolicy"] == found["UpdateReplacePolicy"] == "Retain"


# Types that CloudFormation tags (the type's "Tags" in the CloudFormation reference).
TAGGED = {
    "AWS::CloudWatch::Alarm",
    "AWS::EC2::SecurityGroup",
    "AWS::EC2::VPCEndpoint",
    "AWS::ECS::Cluster",
    "AWS::ECS::TaskDefinition",
    "AWS::Events::Rule",
    "AWS::IAM::Role",
    "AWS::Logs::LogGroup",
    "AWS::SQS::Queue",
    "AWS::Scheduler::ScheduleGroup",
}


def test_all_that_can_be_tagged_is_and_tags_reach_the_tasks() -> None:
    found = resources(S3EndpointRouteTableIds="rtb-1", Project="p", Owner="o")
    wanted = [{"Key": "Project", "Value": "p"}, {"Key": "Owner", "Value": "o"}]

    for name, one in found.items():
        assert one["Properties"].get("Tags") == (wanted if one["Type"] in TAGGED else None), name
    for name, one in found.items():
        if one["Type"] == "AWS::Scheduler::Schedule":
            ecs = one["Properties"]["Target"]["EcsParameters"]
            assert (ecs["PropagateTags"], ecs["EnableECSManagedTags"]) == ("TASK_DEFINITION", True), name


def test_the_execution_role_can_do_what_starting_the_task_needs_and_no_more() -> None:
    start = [
        {
            "Sid": "SignInToRegistry",
            "Effect": "Allow",
            "Action": "ecr:GetAuthorizationToken",
            "Resource": "*",
        },
        {
            "Sid": "PullImage",
            "Effect": "Allow",
            "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"],
            "Resource": "arn:aws:ecr:eu-central-1:123456789012:repository/fruitful-repo-snapshotter",
        },
        {
            "Sid": "WriteLogs",
            "Effect": "Allow",
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"{LOGS}:/ecs/fruitful-repo-snapshotter:*",
        },
    ]
    token = {
        "Sid": "ReadSecrets",
        "Effect": "Allow",
        "Action": "secretsmanager:GetSecretValue",
        "Resource": [SECRET],
    }

    assert inline_policy("ExecutionRole") == start
    assert inline_policy("ExecutionRole", GitTokensSecretArn=SECRET) == [*start, token]
    assert "ManagedPolicyArns" not in properties("ExecutionRole")


def test_only_ecs_tasks_of_this_account_and_region_may_assume_the_execution_role() -> None:
    assert properties("ExecutionRole")["AssumeRolePolicyDocument"] == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "ecs-tasks.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": "123456789012"},
                    "ArnLike": {"aws:SourceArn": "arn:aws:ecs:eu-central-1:123456789012:*"},
                },
            }
        ],
    }


# ---- the network


def test_nothing_comes_in_and_only_https_goes_out() -> None:
    group = properties("SecurityGroup")

    assert group["VpcId"] == "vpc-1"
    assert "SecurityGroupIngress" not in group
    assert "AWS::EC2::SecurityGroupIngress" not in {
        one["Type"] for one in load(SERVICE)["Resources"].values()
    }
    assert group["SecurityGroupEgress"] == [
        {
            "Description": "HTTPS to the origins and to AWS",
            "IpProtocol": "tcp",
            "FromPort": 443,
            "ToPort": 443,
            "CidrIp": "0.0.0.0/0",
        }
    ]


def test_ssh_goes_out_only_when_asked() -> None:
    assert "SshEgress" not in resources()
    assert properties("SshEgress", AllowSsh="true") == {
        "GroupId": "sg-0123456789abcdef0",
        "Description": "SSH to the origins",
        "IpProtocol": "tcp",
        "FromPort": 22,
        "ToPort": 22,
        "CidrIp": "0.0.0.0/0",
    }


def test_two_more_ports_go_out_when_asked() -> None:
    assert not {"ExtraEgress", "SecondExtraEgress"} & resources().keys()
    found = resources(ExtraPort=8443, SecondExtraPort=2222)
    for name, port in {"ExtraEgress": 8443, "SecondExtraEgress": 2222}.items():
        assert found[name]["Properties"] == {
            "GroupId": "sg-0123456789abcdef0",
            "Description": "Another port of origins",
            "IpProtocol": "tcp",
            "FromPort": port,
            "ToPort": port,
            "CidrIp": "0.0.0.0/0",
        }


def test_the_s3_gateway_endpoint_is_an_option() -> None:
    assert "S3Endpoint" not in resources()
    endpoint = properties("S3Endpoint", S3EndpointRouteTableIds="rtb-1,rtb-2")
    assert endpoint.pop("Tags") == TAGS
    assert endpoint == {
        "VpcEndpointType": "Gateway",
        "ServiceName": "com.amazonaws.eu-central-1.s3",
        "VpcId": "vpc-1",
        "RouteTableIds": ["rtb-1", "rtb-2"],
    }


# ---- the schedule


def test_the_schedule_runs_one_task_a_day() -> None:
    assert properties("ScheduleGroup") == {"Name": "fruitful-repo-snapshotter", "Tags": TAGS}
    assert properties("Schedule") == {
        "Name": "fruitful-repo-snapshotter",
        "GroupName": "fruitful-repo-snapshotter",
        "ScheduleExpression": "cron(17 3 * * ? *)",
        "ScheduleExpressionTimezone": "UTC",
        "State": "ENABLED",
        "FlexibleTimeWindow": {"Mode": "OFF"},
        "Target": {
            "Arn": CLUSTER,
            "RoleArn": "arn:aws:iam::123456789012:role/fruitful-repo-snapshotter-scheduler-role",
            "EcsParameters": {
                "TaskDefinitionArn": f"{TASK_DEFINITION}:1",
                "TaskCount": 1,
                "LaunchType": "FARGATE",
                "PropagateTags": "TASK_DEFINITION",
                "EnableECSManagedTags": True,
                "NetworkConfiguration": {
                    "AwsvpcConfiguration": {
                        "AssignPublicIp": "DISABLED",
                        "SecurityGroups": ["sg-0123456789abcdef0"],
                        "Subnets": ["subnet-1", "subnet-2"],
                    }
                },
            },
            "RetryPolicy": {"MaximumRetryAttempts": 5, "MaximumEventAgeInSeconds": 3600},
            "DeadLetterConfig": {"Arn": DEAD_LETTERS},
        },
    }


@pytest.mark.parametrize(
    ("schedule", "name", "when", "job"),
    [
        ("ProofSchedule", "proof", "cron(47 4 1 * ? *)", {"verb": "prove", "skip": ["http"]}),
        ("VerifySchedule", "verify", "cron(47 5 ? * SUN *)", {"verb": "verify", "newest": True}),
    ],
)
def test_proof_and_verification_run_as_the_same_task_with_another_job(
    schedule: str, name: str, when: str, job: dict[str, Any]
) -> None:
    snapshots, other = properties("Schedule"), properties(schedule)
    assert other["Name"] == f"fruitful-repo-snapshotter-{name}"
    assert other["ScheduleExpression"] == when
    overrides = json.loads(other["Target"].pop("Input"))
    own = {"Name", "ScheduleExpression"}
    assert {key: other[key] for key in other.keys() - own} == {
        key: snapshots[key] for key in snapshots.keys() - own
    }
    assert properties(schedule, ScheduleState="DISABLED")["State"] == "DISABLED"

    ((changed,),) = overrides.values()
    assert overrides.keys() == {"containerOverrides"}
    assert changed.keys() == {"name", "environment"}
    assert changed["name"] == container()["Name"]
    ((variable),) = changed["environment"]
    assert variable["name"] == VARIABLE
    assert json.loads(variable["value"]) == job, "only port 443 is open to the proof"
    assert read(variable["value"].encode()).verb == job["verb"]


def test_what_could_not_be_started_is_kept_for_two_weeks() -> None:
    assert properties("DeadLetters") == {
        "QueueName": "fruitful-repo-snapshotter-dead-letters",
        "SqsManagedSseEnabled": True,
        "MessageRetentionPeriod": 14 * 24 * 3600,
        "Tags": TAGS,
    }


def test_the_scheduler_may_run_this_task_in_this_cluster_and_pass_the_two_roles_to_ecs() -> None:
    assert inline_policy("SchedulerRole") == [
        {
            "Sid": "RunTask",
            "Effect": "Allow",
            "Action": "ecs:RunTask",
            "Resource": f"{TASK_DEFINITION}:*",
            "Condition": {"ArnEquals": {"ecs:cluster": CLUSTER}},
        },
        {
            "Sid": "PassTheTwoRolesToEcs",
            "Effect": "Allow",
            "Action": "iam:PassRole",
            "Resource": [TASK_ROLE, EXECUTION_ROLE],
            "Condition": {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        },
        {
            "Sid": "TagTheTask",
            "Effect": "Allow",
            "Action": "ecs:TagResource",
            "Resource": "arn:aws:ecs:eu-central-1:123456789012:task/fruitful-repo-snapshotter/*",
            "Condition": {"StringEquals": {"ecs:CreateAction": "RunTask"}},
        },
        {
            "Sid": "KeepWhatCouldNotBeStarted",
            "Effect": "Allow",
            "Action": "sqs:SendMessage",
            "Resource": DEAD_LETTERS,
        },
    ]
    assert "ManagedPolicyArns" not in properties("SchedulerRole")


# ---- whoever is on call

TWO_ROLES = [TASK_ROLE, EXECUTION_ROLE]
ON_CALL = {
    "ReadLogs": (
        ["logs:DescribeLogStreams", "logs:FilterLogEvents", "logs:GetLogEvents"],
        [
            f"{LOGS}:/ecs/fruitful-repo-snapshotter:*",
            f"{LOGS}:/aws/events/fruitful-repo-snapshotter-failed-tasks:*",
        ],
        None,
    ),
    "StartTheTask": ("ecs:RunTask", f"{TASK_DEFINITION}:*", {"ArnEquals": {"ecs:cluster": CLUSTER}}),
    "PassTheTwoRolesToEcs": (
        "iam:PassRole",
        TWO_ROLES,
        {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
    ),
    "SeeAndStopTasks": (
        ["ecs:DescribeTasks", "ecs:StopTask"],
        "arn:aws:ecs:eu-central-1:123456789012:task/fruitful-repo-snapshotter/*",
        None,
    ),
    "ListTasks": ("ecs:ListTasks", "*", {"ArnEquals": {"ecs:cluster": CLUSTER}}),
    "SeeTheTaskDefinition": ("ecs:DescribeTaskDefinition", "*", None),
    "SeeThePoliciesOfTheTwoRoles": ("iam:ListAttachedRolePolicies", TWO_ROLES, None),
    "SeeTheNetwork": (
        "cloudformation:DescribeStacks",
        "arn:aws:cloudformation:eu-central-1:123456789012:stack/a-stack/1",
        None,
    ),
    "SeeAndSettleDeadLetters": (
        ["sqs:DeleteMessage", "sqs:GetQueueUrl", "sqs:ReceiveMessage"],
        DEAD_LETTERS,
        None,
    ),
}


def test_there_is_no_policy_for_on_call_unless_it_is_named() -> None:
    assert "OnCallPolicy" not in resources()


def test_on_call_may_read_logs_and_run_the_task_and_change_nothing_of_the_service() -> None:
    # Which resources and condition keys each action takes: the Service Authorization Reference's pages on CloudWatch
    # Logs, ECS, IAM, CloudFormation and SQS.
    policy = properties("OnCallPolicy", OnCallPolicyName="on-call")

    assert policy.keys() == {"ManagedPolicyName", "PolicyDocument"}, "it is attached to nobody by itself"
    assert policy["ManagedPolicyName"] == "on-call"
    assert policy["PolicyDocument"] == {
        "Version": "2012-10-17",
        "Statement": [
            {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": where}
            | ({"Condition": condition} if condition else {})
            for sid, (actions, where, condition) in ON_CALL.items()
        ],
    }


def test_only_the_scheduler_for_this_schedule_group_may_assume_its_role() -> None:
    group = "arn:aws:scheduler:eu-central-1:123456789012:schedule-group/fruitful-repo-snapshotter"

    assert properties("SchedulerRole")["AssumeRolePolicyDocument"] == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "scheduler.amazonaws.com"},
                "Action": "sts:AssumeRole",
                "Condition": {
                    "StringEquals": {"aws:SourceAccount": "123456789012"},
                    "ArnEquals": {"aws:SourceArn": group},
                },
            }
        ],
    }


# ---- a task that failed


def task_event(**detail: Any) -> dict[str, Any]:
    """An event as ECS sends it ("Amazon ECS task state change events"), cut to what matters."""
    return {
        "source": "aws.ecs",
        "detail-type": "ECS Task State Change",
        "detail": {
            "clusterArn": CLUSTER,
            "lastStatus": "STOPPED",
            "stopCode": "EssentialContainerExited",
            "containers": [{"name": "snapshotter", "exitCode": 0}],
            **detail,
        },
    }


def matches(pattern: dict[str, Any], event: Any) -> bool:
    """EventBridge's comparison, as far as the rule uses it: an array matches if one of its elements does."""

    def field(name: str, expected: Any) -> bool:
        if name == "$or":
            return any(matches(alternative, event) for alternative in expected)
        found = event.get(name)
        if isinstance(expected, dict):
            return any(
                matches(expected, item) for item in (found if isinstance(found, list) else [found or {}])
            )
        return any(value(condition, found) for condition in expected)

    def value(condition: Any, found: Any) -> bool:
        match condition:
            case {"anything-but": unwanted}:
                return found is not None and found != unwanted
            case {"exists": bool(wanted)}:
                return (found is not None) is wanted
        return found == condition

    return all(field(name, expected) for name, expected in pattern.items())


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(task_event(containers=[{"exitCode": 1}]), id="a finding"),
        pytest.param(task_event(containers=[{"exitCode": 3}]), id="a partial run"),
        pytest.param(
            task_event(containers=[{"exitCode": 137, "reason": "OutOfMemoryError"}]), id="out of memory"
        ),
        pytest.param(task_event(containers=[{"exitCode": 0}, {"exitCode": 1}]), id="one of two containers"),
        pytest.param(
            task_event(stopCode="TaskFailedToStart", containers=[{"reason": "CannotPullContainerError"}]),
            id="no image",
        ),
        pytest.param(
            task_event(
                stopCode="TaskFailedToStart", stoppedReason="ResourceInitializationError", containers=[{}]
            ),
            id="no secret",
        ),
        pytest.param(
            task_event(stopCode="UserInitiated", containers=[{"exitCode": 143}]), id="stopped by hand"
        ),
        pytest.param(
            task_event(stopCode="TerminationNotice", containers=[{"exitCode": 0}]), id="stopped by AWS"
        ),
        pytest.param(task_event(containers=[{"name": "snapshotter"}]), id="no exit code"),
    ],
)
def test_the_rule_sees_every_kind_of_failed_task(event: dict[str, Any]) -> None:
    assert matches(properties("FailedTasks")["EventPattern"], event)


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(task_event(), id="success"),
        pytest.param(
            task_event(lastStatus="RUNNING", stopCode=None, containers=[{"name": "snapshotter"}]),
            id="running",
        ),
        pytest.param(
            task_event(clusterArn=CLUSTER + "-2", containers=[{"exitCode": 1}]), id="another cluster"
        ),
        pytest.param(task_event(containers=[{"exitCode": 1}]) | {"source": "aws.ec2"}, id="another source"),
        pytest.param(
            task_event(containers=[{"exitCode": 1}]) | {"detail-type": "ECS Deployment State Change"},
            id="another kind of event",
        ),
    ],
)
def test_the_rule_passes_over_everything_else(event: dict[str, Any]) -> None:
    assert not matches(properties("FailedTasks")["EventPattern"], event)


def test_a_failed_task_is_recorded_and_counted() -> None:
    name = "/aws/events/fruitful-repo-snapshotter-failed-tasks"
    rule = properties("FailedTasks")

    assert rule["Name"] == "fruitful-repo-snapshotter-failed-tasks"
    assert rule["State"] == "ENABLED"
    assert rule["Targets"] == [{"Id": "log", "Arn": f"{LOGS}:{name}"}]
    assert properties("FailedTasksLogGroup") == {"LogGroupName": name, "RetentionInDays": 365, "Tags": TAGS}
    assert properties("FailedTasksCount") == {
        "FilterName": "fruitful-repo-snapshotter-failed-tasks",
        "LogGroupName": name,
        "FilterPattern": '{ $.detail.clusterArn = "*" }',
        "MetricTransformations": [
            {
                "MetricNamespace": "FruitfulSnapshotter",
                "MetricName": "TasksFailed",
                "MetricValue": "1",
                "Unit": "Count",
                "Dimensions": [{"Key": "Cluster", "Value": "$.detail.clusterArn"}],
            }
        ],
    }
    policy = properties("FailedTasksLogPolicy")
    assert policy["PolicyName"] == "fruitful-repo-snapshotter-failed-tasks"
    assert json.loads(policy["PolicyDocument"]) == {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "RecordFailedTasks",
                "Effect": "Allow",
                "Principal": {"Service": ["events.amazonaws.com", "delivery.logs.amazonaws.com"]},
                "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
                "Resource": f"{LOGS}:{name}:*",
            }
        ],
    }


# ---- alarms


OF_CLUSTER = [{"Name": "Cluster", "Value": CLUSTER}]
OF_SERVICE = [{"Name": "Service", "Value": "fruitful-repo-snapshotter"}]
OF_GROUP = [{"Name": "ScheduleGroup", "Value": "fruitful-repo-snapshotter"}]
OF_QUEUE = [{"Name": "QueueName", "Value": "fruitful-repo-snapshotter-dead-letters"}]


def ring(
    name: str,
    metric: str,
    dimensions: list[dict[str, str]],
    statistic: str = "Sum",
    silence: str = "notBreaching",
) -> dict[str, Any]:
    """An alarm that rings at the first count of `metric` (namespace and name) in five minutes."""
    namespace, _, metric_name = metric.rpartition("/")
    return {
        "AlarmName": f"fruitful-repo-snapshotter-{name}",
        "Namespace": namespace,
        "MetricName": metric_name,
        "Dimensions": dimensions,
        "Statistic": statistic,
        "Period": 300,
        "EvaluationPeriods": 1,
        "Threshold": 1,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": silence,
        "Tags": TAGS,
    }


OURS = "FruitfulSnapshotter"


@pytest.mark.parametrize(
    ("alarm", "expected"),
    [
        ("TaskFailedAlarm", ring("task-failed", f"{OURS}/TasksFailed", OF_CLUSTER)),
        ("SnapshotFailedAlarm", ring("snapshot-failed", f"{OURS}/SnapshotsFailed", OF_SERVICE)),
        ("ScanFailedAlarm", ring("scan-failed", f"{OURS}/ScansFailed", OF_SERVICE)),
        ("ScheduleFailedAlarm", ring("schedule-failed", "AWS/Scheduler/TargetErrorCount", OF_GROUP)),
        (
            "InvocationDroppedAlarm",
            ring("schedule-dropped", "AWS/Scheduler/InvocationDroppedCount", OF_GROUP),
        ),
        (
            "DeadLettersAlarm",
            ring("dead-letters", "AWS/SQS/ApproximateNumberOfMessagesVisible", OF_QUEUE, "Maximum"),
        ),
        # These two stay until a run says otherwise: between two runs there is no news, which is no good news.
        ("StaleAlarm", ring("origin-stale", f"{OURS}/OriginsStale", OF_SERVICE, "Maximum", "ignore")),
        (
            "DamagedAlarm",
            ring("snapshot-damaged", f"{OURS}/SnapshotsDamaged", OF_SERVICE, "Maximum", "ignore"),
        ),
    ],
)
def test_one_failure_rings(alarm: str, expected: dict[str, Any]) -> None:
    found = properties(alarm)

    assert found.pop("AlarmDescription")
    assert found == expected


def alarm_dimensions(**parameters: str) -> set[tuple[str, str]]:
    """Every dimension of every alarm, with what it is compared with."""
    found = set()
    for one in resources(**parameters).values():
        if one["Type"] == "AWS::CloudWatch::Alarm":
            alarm = one["Properties"]
            metrics = [m["MetricStat"]["Metric"] for m in alarm.get("Metrics", []) if "MetricStat" in m]
            for metric in metrics or [alarm]:
                assert metric["Dimensions"], "it would ring, or be silent, for another stack"
                found |= {(each["Name"], each["Value"]) for each in metric["Dimensions"]}
    return found


def test_no_alarm_of_one_stack_watches_what_another_measures() -> None:
    assert not alarm_dimensions() & alarm_dimensions(ServiceName="other")


def test_no_successful_snapshot_for_26_hours_rings_and_so_does_silence() -> None:
    found = properties("NoSnapshotAlarm")
    metric, filled = found.pop("Metrics")

    assert metric == {
        "Id": "succeeded",
        "ReturnData": False,
        "MetricStat": {
            "Stat": "Sum",
            "Period": 3600,
            "Metric": {
                "Namespace": "FruitfulSnapshotter",
                "MetricName": "SnapshotsSucceeded",
                "Dimensions": OF_SERVICE,
            },
        },
    }
    assert filled.pop("Label")
    assert filled == {"Id": "hourly", "Expression": "FILL(succeeded, 0)", "ReturnData": True}
    assert found.pop("AlarmDescription")
    assert found == {
        "AlarmName": "fruitful-repo-snapshotter-no-snapshot",
        "Tags": TAGS,
        "EvaluationPeriods": 26,
        "DatapointsToAlarm": 26,
        "Threshold": 1,
        "ComparisonOperator": "LessThanThreshold",
        "TreatMissingData": "breaching",
    }


def test_every_alarm_notifies_the_topic_when_there_is_one() -> None:
    alarms = [name for name, one in resources().items() if one["Type"] == "AWS::CloudWatch::Alarm"]

    assert len(alarms) == 9
    for name in alarms:
        assert properties(name, AlarmTopicArn=TOPIC)["AlarmActions"] == [TOPIC]
        assert "AlarmActions" not in properties(name)
