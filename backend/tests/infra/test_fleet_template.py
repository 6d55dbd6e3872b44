"""infra/fleet.yaml runs a fleet with workers that are there only while it lasts, and rings for one stale repository."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from snapshotter.base.variables import SETTINGS
from snapshotter.cli import fleet_metrics
from tests.infra.template import FLEET, SERVICE, load, resolve

SECRET = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:tls-AbCdEf"
TOKENS = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:git-tokens-AbCdEf"
FINGERPRINTS = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:fingerprints-AbCdEf"
REQUIRED: dict[str, str | int] = {
    "Image": "registry.example.org/snapshotter@sha256:" + "0" * 64,
    "InventorySha256": "a" * 64,
    "ClusterTlsSecretArn": SECRET,
    "VpcId": "vpc-1",
    "SubnetIds": "subnet-1,subnet-2",
}
TOPIC = "arn:aws:sns:eu-central-1:123456789012:on-call"
ECS = "arn:aws:ecs:eu-central-1:123456789012"
CLUSTER = f"{ECS}:cluster/fruitful-repo-fleet"
WORKERS = f"{ECS}:service/fruitful-repo-fleet/fruitful-repo-fleet-workers"
TASKS = f"{ECS}:task/fruitful-repo-fleet/*"
ROLE = "arn:aws:iam::123456789012:role"
STATE_MACHINE = "arn:aws:states:eu-central-1:123456789012:stateMachine:fruitful-repo-fleet"
TAGS = [{"Key": "Project", "Value": "fruitful-snapshotter"}, {"Key": "Owner", "Value": "fruitful-lab"}]
RUN, WORKER = "RunTaskDefinition", "WorkerTaskDefinition"


def resources(**parameters: str | int) -> dict[str, Any]:
    found: dict[str, Any] = resolve(FLEET, **REQUIRED | parameters)["Resources"]
    return found


def properties(name: str, **parameters: str | int) -> dict[str, Any]:
    found: dict[str, Any] = resources(**parameters)[name]["Properties"]
    return found


def container(name: str, **parameters: str | int) -> dict[str, Any]:
    (only,) = properties(name, **parameters)["ContainerDefinitions"]
    found: dict[str, Any] = only
    return found


def rights(role: str, **parameters: str | int) -> dict[str, Any]:
    """Each statement of a role's own policy, by its Sid; all of them allow."""
    (policy,) = properties(role, **parameters)["Policies"]
    statements = policy["PolicyDocument"]["Statement"]
    assert {each.pop("Effect") for each in statements} == {"Allow"}
    return {each.pop("Sid"): each for each in statements}


def states() -> dict[str, Any]:
    found: dict[str, Any] = properties("StateMachine", Workers=7)["Definition"]["States"]
    return found


def test_no_production_name_is_left_when_every_parameter_is_given() -> None:
    names = {
        "BucketName": "b-1",
        "Prefix": "p/",
        "AccessPolicyName": "policy-1",
        "TaskRoleName": "role-1",
        "FleetName": "fleet-1",
        "ImageRepositoryName": "image-1",
        "Project": "project-1",
        "Owner": "owner-1",
    }
    text = json.dumps(resources(**names))

    assert "fruitful" not in text
    assert "repo-scans" not in text


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("Image", "registry.example.org/snapshotter:latest"),
        ("InventorySha256", "a" * 63),
        ("InventoryName", "../fleet.toml"),
        ("ClusterTlsSecretArn", ""),
        ("ContainerUser", "0:0"),
        ("Workers", 0),
        ("TaskDeadlineHours", 24),
    ],
)
def test_a_value_that_could_not_work_is_refused(parameter: str, value: str | int) -> None:
    with pytest.raises(ValueError, match=parameter):
        resources(**{parameter: value})


# ---- the tasks


def test_the_run_is_client_and_scheduler_and_its_inventory_is_pinned() -> None:
    run = container(RUN)

    assert run["EntryPoint"] == ["timeout", "--foreground", "--kill-after=120s", "22h", "snapshotter"]
    assert run["Command"] == [
        *("fleet", "run", "s3://fruitful-lab-snapshots-prod/repo-scans/snapshotter/_jobs/fleet.toml"),
        *("--sha256", "a" * 64, "--engine", "dask", "--listen", "tls://auto:8786", "--max-age", "20h"),
        "--metrics",
    ]
    assert properties(RUN)["TaskRoleArn"] == f"{ROLE}/fruitful-repo-snapshotter-task-role"


def test_the_program_has_every_flag_that_the_tasks_give_it() -> None:
    from snapshotter.cli.fleet_run import FleetRunFlags
    from snapshotter.cli.fleet_worker import FleetWorkerFlags

    for task, flags in ((RUN, FleetRunFlags), (WORKER, FleetWorkerFlags)):
        given = {word for word in container(task)["Command"] if word.startswith("--")}
        assert given <= {"--" + field.name.replace("_", "-") for field in fields(flags)}


def test_the_program_knows_every_variable_that_the_tasks_give_it() -> None:
    known = {setting.name for setting in SETTINGS} | {"AWS_REGION"}
    for task in (RUN, WORKER):
        found = container(
            task, GitTokensSecretArn=TOKENS, FingerprintKeySecretArn=FINGERPRINTS, MaxChainAgeDays="30"
        )
        assert {each["Name"] for each in found["Environment"] + found["Secrets"]} <= known


def test_what_the_alarms_measure_is_what_a_run_says() -> None:
    said = Path(fleet_metrics.__file__).read_text(encoding="utf-8")
    watched = json.dumps([properties("StaleAlarm"), properties("HeartbeatAlarm")])
    for metric in re.findall(r'"((?:Fleet|Repos)[A-Z]\w+)"', said):
        assert f'"MetricName": "{metric}"' in watched
    assert "--metrics" in container(RUN)["Command"]


def test_a_worker_has_a_role_of_its_own_with_the_bucket_and_its_own_protection() -> None:
    role = properties("WorkerRole")

    assert container(WORKER)["Command"] == ["fleet", "worker", "--listen", "tls://auto:8788"]
    assert properties(WORKER)["TaskRoleArn"] == f"{ROLE}/fruitful-repo-fleet-worker-role"
    assert role["ManagedPolicyArns"] == ["arn:aws:iam::123456789012:policy/fruitful-s3-repo-scans-rw"]
    assert rights("WorkerRole") == {
        "ProtectTheTask": {"Action": ["ecs:GetTaskProtection", "ecs:UpdateTaskProtection"], "Resource": TASKS}
    }


@pytest.mark.parametrize("task", [RUN, WORKER])
def test_a_container_is_not_root_and_can_change_nothing_but_tmp(task: str) -> None:
    found = container(task)

    assert found["User"] == "10001:10001"
    assert found["ReadonlyRootFilesystem"] is True
    assert found["LinuxParameters"] == {"InitProcessEnabled": True, "Capabilities": {"Drop": ["ALL"]}}
    assert [mount["ContainerPath"] for mount in found["MountPoints"]] == ["/tmp"]
    assert 0 < found["StopTimeout"] <= 120, "Fargate takes no more"


@pytest.mark.parametrize("task", [RUN, WORKER])
def test_each_task_has_its_secrets_from_secrets_manager_and_none_in_its_environment(task: str) -> None:
    def secrets(**given: str) -> dict[str, str]:
        return {each["Name"]: each["ValueFrom"] for each in container(task, **given)["Secrets"]}

    everything = secrets(GitTokensSecretArn=TOKENS, FingerprintKeySecretArn=FINGERPRINTS)
    assert secrets() == {"SNAPSHOTTER_CLUSTER_TLS": SECRET}
    assert everything["SNAPSHOTTER_GIT_TOKENS"] == TOKENS
    assert ("SNAPSHOTTER_FINGERPRINT_KEY" in everything) is (task == WORKER), "the run makes no scan"
    plain = {each["Name"] for each in container(task)["Environment"]}
    assert not plain & everything.keys()
    assert not any(word in name for name in plain for word in ("TOKEN", "KEY", "TLS"))


def test_run_and_workers_keep_bases_as_young_as_the_bucket_needs() -> None:
    for task in (RUN, WORKER):
        told = {each["Name"]: each["Value"] for each in container(task, MaxChainAgeDays="30")["Environment"]}
        assert told["SNAPSHOTTER_MAX_CHAIN_AGE"] == "30d"
        assert "SNAPSHOTTER_MAX_CHAIN_AGE" not in json.dumps(container(task))


def test_ecs_may_read_just_the_secrets_that_are_given() -> None:
    def read(**given: str) -> object:
        return rights("ExecutionRole", **given)["ReadSecrets"]["Resource"]

    assert read() == [SECRET]
    assert read(GitTokensSecretArn=TOKENS, FingerprintKeySecretArn=FINGERPRINTS) == [
        SECRET,
        TOKENS,
        FINGERPRINTS,
    ]


def test_the_image_and_its_user_are_those_of_the_service() -> None:
    fleet, service = load(FLEET)["Parameters"], load(SERVICE)["Parameters"]
    for name in (
        "Image",
        "ImageRepositoryName",
        "ContainerUser",
        "CpuArchitecture",
        "GitTokensSecretArn",
        "AlarmTopicArn",
    ):
        for key in ("Type", "Default", "AllowedPattern", "AllowedValues"):
            assert fleet[name].get(key) == service[name].get(key), name


# ---- the network


def test_run_and_workers_hear_each_other_and_nobody_else() -> None:
    made = resources()
    ingress = [one["Properties"] for one in made.values() if one["Type"] == "AWS::EC2::SecurityGroupIngress"]
    egress = [one["Properties"] for one in made.values() if one["Type"] == "AWS::EC2::SecurityGroupEgress"]
    groups = [one["Properties"] for one in made.values() if one["Type"] == "AWS::EC2::SecurityGroup"]

    assert sorted((one["FromPort"], one["ToPort"]) for one in ingress) == [(8786, 8786), (8788, 8803)]
    assert sorted((one["FromPort"], one["ToPort"]) for one in egress) == [(8786, 8786), (8788, 8803)]
    written = load(FLEET)["Resources"]
    for name, source in (("RunFromWorker", "WorkerSecurityGroup"), ("WorkerFromRun", "RunSecurityGroup")):
        assert written[name]["Properties"]["SourceSecurityGroupId"] == {"Ref": source}
    for name, target in (("WorkerToRun", "RunSecurityGroup"), ("RunToWorker", "WorkerSecurityGroup")):
        assert written[name]["Properties"]["DestinationSecurityGroupId"] == {"Ref": target}
    for group in groups:
        assert "SecurityGroupIngress" not in group
        ((port, where),) = [(each["ToPort"], each["CidrIp"]) for each in group["SecurityGroupEgress"]]
        assert (port, where) == (443, "0.0.0.0/0")
    assert not any("CidrIp" in rule for rule in ingress), "no address at all may come in"


def test_the_ports_are_those_that_the_programs_listen_at() -> None:
    at = {
        task: int(container(task)["Command"][-1 if task == WORKER else 8].rpartition(":")[2])
        for task in (RUN, WORKER)
    }
    largest = int(load(FLEET)["Parameters"]["WorkerCpu"]["AllowedValues"][-1]) // 1024

    assert at[RUN] == properties("WorkerToRun")["FromPort"] == properties("RunFromWorker")["FromPort"]
    for name in ("RunToWorker", "WorkerFromRun"):
        ports = properties(name)
        assert (ports["FromPort"], ports["ToPort"]) == (at[WORKER], at[WORKER] + largest - 1)


def test_another_port_goes_out_when_asked() -> None:
    more = resources(ExtraPort=8443).keys() - resources().keys()

    assert more == {"RunExtraEgress", "WorkerExtraEgress"}
    assert {properties(name, ExtraPort=8443)["ToPort"] for name in more} == {8443}


# ---- up, run, down


def test_workers_are_up_before_the_run_and_down_after_it_however_it_ends() -> None:
    steps = states()
    up, run, down = steps["WorkersUp"], steps["Run"], steps["WorkersDown"]

    assert properties("StateMachine")["Definition"]["StartAt"] == "WorkersUp"
    assert up["Parameters"] == {
        "Cluster": "fruitful-repo-fleet",
        "Service": "fruitful-repo-fleet-workers",
        "DesiredCount": 7,
    }
    assert down["Parameters"] == up["Parameters"] | {"DesiredCount": 0}
    assert (up["Next"], run["Next"]) == ("Run", "WorkersDown")
    for step in (up, run):
        (caught,) = step["Catch"]
        assert (caught["ErrorEquals"], caught["Next"]) == (["States.ALL"], "WorkersDown")
    assert up["Resource"] == down["Resource"] == "arn:aws:states:::aws-sdk:ecs:updateService"
    assert run["Resource"] == "arn:aws:states:::ecs:runTask.sync"


def test_the_state_machine_waits_longer_than_a_run_may_last() -> None:
    most = load(FLEET)["Parameters"]["TaskDeadlineHours"]["MaxValue"]
    assert states()["Run"]["TimeoutSeconds"] >= most * 3600 + 120


@pytest.mark.parametrize(
    ("failure", "expected"),
    [
        (None, "Finished"),
        (
            {"Error": "States.TaskFailed", "Cause": '{"Containers":[{"Cpu":"0","ExitCode":3,"Image":"x"}]}'},
            "Finished",
        ),
        (
            {"Error": "States.TaskFailed", "Cause": '{"Containers":[{"Cpu":"0","ExitCode":4,"Image":"x"}]}'},
            "Failed",
        ),
        (
            {
                "Error": "States.TaskFailed",
                "Cause": '{"Containers":[{"Cpu":"0","ExitCode":137,"Image":"x"}]}',
            },
            "Failed",
        ),
        ({"Error": "States.Timeout", "Cause": ""}, "Failed"),
        ({"Error": "States.Timeout"}, "Failed"),
        ({"Error": "Ecs.ServiceNotFoundException", "Cause": "Service not found."}, "Failed"),
    ],
)
def test_a_run_in_which_some_failed_is_a_finished_one(failure: dict[str, str] | None, expected: str) -> None:
    assert verdict({"failure": failure} if failure else {}) == expected


def verdict(given: dict[str, Any]) -> str:
    """Where the Choice state goes ("Choice workflow state" of the Step Functions guide), as far as it is used."""

    def value(path: str) -> Any:
        found: Any = given
        for part in path.removeprefix("$.").split("."):
            found = found[part] if found is not None and part in found else None
        return found

    def holds(rule: dict[str, Any]) -> bool:
        if "And" in rule:
            return all(holds(each) for each in rule["And"])
        found = value(rule["Variable"])
        if "IsPresent" in rule:
            return (found is not None) is rule["IsPresent"]
        if "StringEquals" in rule:
            return bool(found == rule["StringEquals"])
        pattern = ".*".join(re.escape(part) for part in rule["StringMatches"].split("*"))
        return re.fullmatch(pattern, found, re.DOTALL) is not None

    choice = states()["Verdict"]
    return next((rule["Next"] for rule in choice["Choices"] if holds(rule)), choice["Default"])


def test_there_is_no_worker_until_a_run_asks_for_some() -> None:
    service = properties("WorkerService", WorkerCapacity="FARGATE_SPOT")

    assert service["DesiredCount"] == 0
    assert service["CapacityProviderStrategy"] == [{"CapacityProvider": "FARGATE_SPOT", "Weight": 1}]
    assert set(properties("Cluster")["CapacityProviders"]) == set(
        load(FLEET)["Parameters"]["WorkerCapacity"]["AllowedValues"]
    )
    assert service["EnableExecuteCommand"] is False


def test_the_late_bound_stays_when_the_schedule_is_disabled() -> None:
    run, late = properties("Schedule", ScheduleState="DISABLED"), properties("ScaleDownSchedule")

    assert (run["State"], late["State"]) == ("DISABLED", "ENABLED")
    assert run["Target"]["Arn"] == STATE_MACHINE
    assert late["Target"]["Arn"] == "arn:aws:scheduler:::aws-sdk:ecs:updateService"
    assert json.loads(late["Target"]["Input"]) == states()["WorkersDown"]["Parameters"]


def test_by_default_the_late_bound_comes_after_the_longest_run_and_before_the_next() -> None:
    parameters = load(FLEET)["Parameters"]

    def minutes(name: str) -> int:
        minute, hour = re.fullmatch(r"cron\((\d+) (\d+) \* \* \? \*\)", parameters[name]["Default"]).groups()  # type: ignore[union-attr]
        return int(hour) * 60 + int(minute)

    after = (minutes("ScaleDownExpression") - minutes("ScheduleExpression")) % (24 * 60)
    assert parameters["TaskDeadlineHours"]["MaxValue"] * 60 + 2 < after < 24 * 60


# ---- who may do what


def test_the_state_machine_may_count_the_workers_and_run_this_task() -> None:
    assert rights("StateMachineRole") == {
        "CountOfWorkers": {"Action": "ecs:UpdateService", "Resource": WORKERS},
        "RunTask": {
            "Action": "ecs:RunTask",
            "Resource": f"{ECS}:task-definition/fruitful-repo-fleet-run:*",
            "Condition": {"ArnEquals": {"ecs:cluster": CLUSTER}},
        },
        "SeeAndStopTheRun": {"Action": ["ecs:DescribeTasks", "ecs:StopTask"], "Resource": TASKS},
        "TagTheRun": {
            "Action": "ecs:TagResource",
            "Resource": TASKS,
            "Condition": {"StringEquals": {"ecs:CreateAction": "RunTask"}},
        },
        "PassTheRunsTwoRolesToEcs": {
            "Action": "iam:PassRole",
            "Resource": [
                f"{ROLE}/fruitful-repo-snapshotter-task-role",
                f"{ROLE}/fruitful-repo-fleet-execution-role",
            ],
            "Condition": {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        },
        "HearOfTheRunsEnd": {
            "Action": ["events:DescribeRule", "events:PutRule", "events:PutTargets"],
            "Resource": "arn:aws:events:eu-central-1:123456789012:rule/StepFunctionsGetEventsForECSTaskRule",
        },
    }


def test_the_scheduler_may_start_runs_and_take_workers_away() -> None:
    assert rights("SchedulerRole") == {
        "StartTheRun": {"Action": "states:StartExecution", "Resource": STATE_MACHINE},
        "TakeWorkersAway": {"Action": "ecs:UpdateService", "Resource": WORKERS},
        "KeepWhatCouldNotBeStarted": {
            "Action": "sqs:SendMessage",
            "Resource": "arn:aws:sqs:eu-central-1:123456789012:fruitful-repo-fleet-dead-letters",
        },
    }


@pytest.mark.parametrize(
    ("role", "service", "operator", "source"),
    [
        ("ExecutionRole", "ecs-tasks.amazonaws.com", "ArnLike", f"{ECS}:*"),
        ("WorkerRole", "ecs-tasks.amazonaws.com", "ArnLike", f"{ECS}:*"),
        ("StateMachineRole", "states.amazonaws.com", "ArnLike", STATE_MACHINE),
        (
            "SchedulerRole",
            "scheduler.amazonaws.com",
            "ArnEquals",
            "arn:aws:scheduler:eu-central-1:123456789012:schedule-group/fruitful-repo-fleet",
        ),
    ],
)
def test_a_role_is_for_one_service_and_this_account(
    role: str, service: str, operator: str, source: str
) -> None:
    (statement,) = properties(role)["AssumeRolePolicyDocument"]["Statement"]

    assert statement == {
        "Effect": "Allow",
        "Principal": {"Service": service},
        "Action": "sts:AssumeRole",
        "Condition": {
            "StringEquals": {"aws:SourceAccount": "123456789012"},
            operator: {"aws:SourceArn": source},
        },
    }


def test_only_what_takes_no_resource_is_allowed_on_all() -> None:
    everywhere = [
        statement["Action"]
        for one in resources().values()
        for policy in one["Properties"].get("Policies", [])
        for statement in policy["PolicyDocument"]["Statement"]
        if statement["Resource"] == "*"
    ]
    assert everywhere == ["ecr:GetAuthorizationToken"]


def test_all_that_can_be_tagged_is_and_tags_reach_the_tasks() -> None:
    untagged = {
        "AWS::EC2::SecurityGroupEgress",
        "AWS::EC2::SecurityGroupIngress",
        "AWS::Scheduler::Schedule",  # the group has them
    }
    for name, one in resources().items():
        assert (one["Properties"].get("Tags") == TAGS) is (one["Type"] not in untagged), name
    assert properties("WorkerService")["PropagateTags"] == "SERVICE"
    assert states()["Run"]["Parameters"]["PropagateTags"] == "TASK_DEFINITION"


# ---- alarms

OF_FLEET = [{"Name": "Service", "Value": "fruitful-repo-fleet"}]


def test_one_stale_repository_rings_until_a_run_finds_none() -> None:
    alarm = properties("StaleAlarm")

    assert (alarm["Namespace"], alarm["MetricName"]) == ("FruitfulSnapshotter", "ReposStale")
    assert alarm["Dimensions"] == OF_FLEET
    assert (alarm["Statistic"], alarm["Threshold"]) == ("Maximum", 1)
    assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
    assert alarm["TreatMissingData"] == "ignore"


def test_silence_of_26_hours_rings() -> None:
    alarm = properties("HeartbeatAlarm")
    metric, filled = alarm["Metrics"]

    assert metric["MetricStat"]["Metric"] == {
        "Namespace": "FruitfulSnapshotter",
        "MetricName": "FleetRunsStored",
        "Dimensions": OF_FLEET,
    }
    assert (filled["Expression"], filled["ReturnData"]) == ("FILL(ended, 0)", True)
    assert (metric["MetricStat"]["Period"], alarm["EvaluationPeriods"]) == (3600, 26)
    assert alarm["DatapointsToAlarm"] == alarm["EvaluationPeriods"]
    assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (1, "LessThanThreshold")
    assert alarm["TreatMissingData"] == "breaching"


def test_a_run_that_failed_or_was_aborted_rings() -> None:
    *watched, sum_of_both = properties("RunFailedAlarm")["Metrics"]

    assert {each["MetricStat"]["Metric"]["MetricName"] for each in watched} == {
        "ExecutionsFailed",
        "ExecutionsAborted",
    }
    for each in watched:
        assert each["MetricStat"]["Metric"]["Dimensions"] == [
            {"Name": "StateMachineArn", "Value": STATE_MACHINE}
        ]
        assert f"FILL({each['Id']}, 0)" in sum_of_both["Expression"]


def test_every_alarm_notifies_the_topic_when_there_is_one() -> None:
    alarms = [name for name, one in resources().items() if one["Type"] == "AWS::CloudWatch::Alarm"]

    assert len(alarms) == 4
    for name in alarms:
        assert properties(name, AlarmTopicArn=TOPIC)["AlarmActions"] == [TOPIC]
        assert "AlarmActions" not in properties(name)
        assert properties(name)["AlarmDescription"]
        assert properties(name)["AlarmName"].startswith("fruitful-repo-fleet-")


def test_logs_survive_the_stack() -> None:
    group = load(FLEET)["Resources"]["LogGroup"]
    assert (group["DeletionPolicy"], group["UpdateReplacePolicy"]) == ("Retain", "Retain")
    assert properties("LogGroup")["RetentionInDays"] == 365
