"""The stand-in for CloudFormation: what it resolves, and that it refuses what it does not know."""

from pathlib import Path

import pytest

from tests.infra.template import STORAGE, access_policy, bucket_policy, resolve, trust_policy


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "template.yaml"
    path.write_text(text)
    return path


def test_functions_conditions_and_no_value(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        Parameters:
          Name: {Type: String, Default: b}
          Some: {Type: CommaDelimitedList, Default: 'x,y'}
          Switch: {Type: String, Default: 'false'}
        Conditions:
          IsOn: !Equals [!Ref Switch, 'true']
          IsOff: !Not [!Condition IsOn]
        Resources:
          Bucket:
            Type: AWS::S3::Bucket
            Properties:
              BucketName: !Ref Name
              Joined: !Join ['-', !Ref Some]
              Arn: !GetAtt Bucket.Arn
              Under: !Sub '${Bucket.Arn}/${Bucket}/${AWS::Region}'
              With: !Sub ['${Bucket}${Own}', {Own: !Ref Switch}]
              Gone: !If [IsOn, 1, !Ref AWS::NoValue]
              Kept: [!If [IsOff, 1, 2], !If [IsOn, 3, !Ref AWS::NoValue]]
          Optional:
            Type: AWS::S3::Bucket
            Condition: IsOn
            Properties: {BucketName: other}
        """,
    )

    assert resolve(path)["Resources"] == {
        "Bucket": {
            "Type": "AWS::S3::Bucket",
            "Properties": {
                "BucketName": "b",
                "Joined": "x-y",
                "Arn": "arn:aws:s3:::b",
                "Under": "arn:aws:s3:::b/b/eu-central-1",
                "With": "bfalse",
                "Kept": [1],
            },
        }
    }
    assert "Optional" in resolve(path, Switch="true")["Resources"]


@pytest.mark.parametrize("expression", ["!Ref Nobody", "!Sub '${Nobody}'", "!GetAtt X.Nothing", "!Base64 b"])
def test_what_is_not_known_is_refused(tmp_path: Path, expression: str) -> None:
    path = write(
        tmp_path, f"Parameters: {{}}\nResources: {{X: {{Type: T, Properties: {{A: {expression}}}}}}}"
    )

    with pytest.raises(ValueError, match="cannot"):
        resolve(path)


@pytest.mark.parametrize(
    "parameters",
    [
        {"Buckets": "b"},
        {"BucketName": "Upper"},
        {"EnforceWriteOnce": "yes"},
        {"CreateUser": "yes"},
        {"SnapshotRetentionDays": "31"},
        {"MaxChainAgeDays": "-1"},
        {"ObjectLockDays": "1"},
        {"OperatorsGroupName": "a group"},
        {"NoncurrentVersionDays": 0},
        {"Prefix": "/repo-scans/"},
        {"Prefix": "repo-scans/snapshotter"},
        {"Prefix": "repo-scans/*/"},
        {"Prefix": "repo-scans/${aws:username}/"},
    ],
)
def test_parameters_that_cloudformation_would_refuse_are_refused(parameters: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=next(iter(parameters))):
        resolve(STORAGE, **parameters)


def test_rules_and_mappings(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        Parameters:
          Size: {Type: String, Default: s}
          Many: {Type: CommaDelimitedList, Default: 'x,y'}
        Mappings:
          Cpu: {s: {small: '1'}, l: {small: '2'}}
        Rules:
          OnlyKnown:
            RuleCondition: !Not [!Equals [!Ref Size, any]]
            Assertions:
              - Assert: !And [!Contains [[s, l, xl], !Ref Size], !Not [!Equals [!Ref Size, xl]]]
                AssertDescription: too large
        Resources:
          X:
            Type: T
            Properties:
              Cpu: !FindInMap [Cpu, !Ref Size, small]
              Split: !Split [',', !Join [',', [a, !Join [',', !Ref Many]]]]
        """,
    )

    assert resolve(path, Size="l")["Resources"]["X"]["Properties"] == {"Cpu": "2", "Split": ["a", "x", "y"]}
    with pytest.raises(ValueError, match="OnlyKnown: too large"):
        resolve(path, Size="xl")
    with pytest.raises(KeyError):  # the rule lets it pass, the mapping does not
        resolve(path, Size="any")


def test_policies_follow_the_parameters() -> None:
    names = {"BucketName": "other-bucket", "Prefix": "a/b/"}

    assert bucket_policy(**names)["Statement"][0]["Resource"][0] == "arn:aws:s3:::other-bucket"
    assert access_policy(**names)["Statement"][1]["Resource"] == "arn:aws:s3:::other-bucket/a/b/*"
    trusted = trust_policy(**{"AWS::AccountId": "210987654321"})["Statement"][0]
    assert trusted["Condition"]["StringEquals"] == {"aws:SourceAccount": "210987654321"}
