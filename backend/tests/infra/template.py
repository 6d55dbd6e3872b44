"""The CloudFormation templates as they come out for given parameters, in plain Python.

    service = resolve(SERVICE, Image="…@sha256:…", Job="{}", VpcId="vpc-1", SubnetIds="subnet-1")
    service["Resources"]["TaskDefinition"]["Properties"]["User"]

Policies come out as the JSON documents that IAM and S3 would be given, so a test can put the template's own
policies on an S3 server instead of a copy of them:

    s3.put_bucket_policy(Bucket="b", Policy=json.dumps(bucket_policy(BucketName="b")))
    iam.put_user_policy(..., PolicyDocument=json.dumps(access_policy(BucketName="b")))

Every function takes the template's parameters by name; those left out have the template's defaults. The
pseudo parameters have the values in PSEUDO, and can be given too: ``**{"AWS::AccountId": "210987654321"}``.
"""

from __future__ import annotations

from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from snapshotter.doctor.adoption import template as cloudformation

INFRA = Path(__file__).parents[3] / "infra"
STORAGE = INFRA / "storage.yaml"
SERVICE = INFRA / "service.yaml"
FLEET = INFRA / "fleet.yaml"
REPLICA = INFRA / "replica.yaml"
AUDIT = INFRA / "audit.yaml"
ALARMS = INFRA / "alarms.yaml"

PSEUDO = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "eu-central-1",
    "AWS::StackId": "arn:aws:cloudformation:eu-central-1:123456789012:stack/a-stack/1",
}

# What Ref and GetAtt Arn give for the types that the templates refer to, put together from the resource's own
# properties and the pseudo parameters ("Return values" on the type's page of the CloudFormation reference).
_LOCAL = "${AWS::Region}:${AWS::AccountId}"
_REF = {
    "AWS::EC2::SecurityGroup": "sg-0123456789abcdef0",
    "AWS::ECS::Cluster": "${ClusterName}",
    "AWS::ECS::TaskDefinition": f"arn:${{AWS::Partition}}:ecs:{_LOCAL}:task-definition/${{Family}}:1",
    "AWS::IAM::Group": "${GroupName}",
    "AWS::IAM::ManagedPolicy": "arn:${AWS::Partition}:iam::${AWS::AccountId}:policy/${ManagedPolicyName}",
    "AWS::Logs::LogGroup": "${LogGroupName}",
    "AWS::S3::Bucket": "${BucketName}",
    "AWS::SNS::Topic": "arn:${AWS::Partition}:sns:${AWS::Region}:${AWS::AccountId}:${TopicName}",
    "AWS::SQS::Queue": "https://sqs.${AWS::Region}.amazonaws.com/${AWS::AccountId}/${QueueName}",
    "AWS::Scheduler::ScheduleGroup": "${Name}",
    "AWS::StepFunctions::StateMachine": f"arn:${{AWS::Partition}}:states:{_LOCAL}:stateMachine:${{StateMachineName}}",
}
_ARN = {
    "AWS::ECS::Cluster": f"arn:${{AWS::Partition}}:ecs:{_LOCAL}:cluster/${{ClusterName}}",
    "AWS::IAM::Role": "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/${RoleName}",
    "AWS::KMS::Key": f"arn:${{AWS::Partition}}:kms:{_LOCAL}:key/00000000-0000-0000-0000-000000000000",
    "AWS::Logs::LogGroup": f"arn:${{AWS::Partition}}:logs:{_LOCAL}:log-group:${{LogGroupName}}:*",
    "AWS::S3::Bucket": "arn:${AWS::Partition}:s3:::${BucketName}",
    "AWS::SQS::Queue": f"arn:${{AWS::Partition}}:sqs:{_LOCAL}:${{QueueName}}",
    "AWS::Scheduler::ScheduleGroup": f"arn:${{AWS::Partition}}:scheduler:{_LOCAL}:schedule-group/${{Name}}",
}


def load(path: Path) -> dict[str, Any]:
    """The template as written, its short tags (``!Ref X``) in their long form (``{"Ref": "X"}``)."""
    return deepcopy(_loaded(path, path.stat().st_mtime_ns))


def resolve(path: Path, **parameters: str | int) -> dict[str, Any]:
    """The template with every function and condition carried out.

    Resources and outputs whose condition is false, and properties that are ``AWS::NoValue``, are left out.
    Raises ValueError for a parameter that the template does not have, lacks, or would refuse, for parameters that
    its rules refuse together, and for a function or a reference that this module does not know.
    """
    identities = cloudformation.Identities(_REF, _ARN)
    return cloudformation.resolve(load(path), parameters, PSEUDO, identities)


def bucket_policy(**parameters: str | int) -> dict[str, Any]:
    """The bucket policy of storage.yaml, as JSON for S3's PutBucketPolicy."""
    return _storage("BucketPolicy", **parameters)["PolicyDocument"]


def access_policy(**parameters: str | int) -> dict[str, Any]:
    """The customer managed policy of storage.yaml, as JSON for IAM: all that anybody may do."""
    return _storage("AccessPolicy", **parameters)["PolicyDocument"]


def trust_policy(**parameters: str | int) -> dict[str, Any]:
    """Who may assume the task role of storage.yaml, as JSON for IAM's CreateRole."""
    return _storage("TaskRole", **parameters)["AssumeRolePolicyDocument"]


def _storage(resource: str, **parameters: str | int) -> dict[str, Any]:
    return resolve(STORAGE, **parameters)["Resources"][resource]["Properties"]


@cache
def _loaded(path: Path, _: int) -> dict[str, Any]:
    return cloudformation.load(path)
