"""The checks of the way to S3: the endpoint, the clocks, the credentials, and who they are."""

from __future__ import annotations

from collections.abc import Iterator

from snapshotter.aws import endpoint, identity
from snapshotter.aws.endpoint import EndpointReply
from snapshotter.aws.scope import is_execution_role, role_of
from snapshotter.base import runbook
from snapshotter.base.errors import NoCredentials, SnapshotterError, Unavailable, UsageError
from snapshotter.base.urls import redact
from snapshotter.doctor.check import Check, Setup, State, failed

_SKEW_WARN, _SKEW_FAIL = 60, 15 * 60  # seconds; S3 refuses beyond a quarter of an hour


class AwsChecks:
    """The checks in the order of causes. `blocked` says why those of the store cannot be made; None if they can."""

    def __init__(self, setup: Setup) -> None:
        self._setup = setup
        self._session: endpoint.Session | None = None
        self.blocked: str | None = None

    def reach(self, bucket: str) -> Iterator[Check]:
        """The endpoint, asked without credentials: whether it has HTTPS, the bucket, and the same time."""
        try:
            session = endpoint.session()
            url = endpoint.url(session, self._setup.env)
        except UsageError as error:
            self.blocked = "the AWS settings cannot be used"
            yield failed("endpoint", error, runbook.REGION)
            return
        self._session, region = session, session.region_name
        shown = f"{redact(url)}, region {region or 'us-east-1 (assumed)'}"
        if not url.startswith("https://"):
            hint = "unset AWS_ENDPOINT_URL_S3, or give an https endpoint"
            yield Check("endpoint", "failed", f"{shown}: plain HTTP", hint, runbook.PLAIN_HTTP)
        try:
            answer = endpoint.ask(url, bucket, self._setup.env)
        except Unavailable as error:
            self.blocked = "the endpoint does not answer"
            yield failed("endpoint", error, runbook.REGION)
            return
        if url.startswith("https://"):
            yield self._place(bucket, answer, shown, region)
        yield clock(answer)

    def _place(self, bucket: str, answer: EndpointReply, shown: str, region: str | None) -> Check:
        """Whether the bucket is where it is looked for."""
        if answer.status == 404:
            self.blocked = "there is no such bucket"
            gone = Unavailable(f"no such bucket: {bucket}", code="no-bucket", hint="check --store")
            return failed("endpoint", gone, runbook.REGION)
        if answer.region and answer.region != (region or "us-east-1"):
            self.blocked = "the region is wrong"
            away = Unavailable(
                f"the bucket is in {answer.region}, and {shown} is asked",
                code="region",
                hint=f"set AWS_REGION={answer.region}",
            )
            return failed("endpoint", away, runbook.REGION)
        if region is None:
            return Check("endpoint", "warning", shown, "set AWS_REGION", runbook.REGION)
        return Check("endpoint", "ok", shown)

    def identify(self) -> Iterator[Check]:
        """Where the credentials come from, and who they are."""
        if self.blocked or self._session is None:
            yield Check("credentials", "skipped", self.blocked or "the AWS settings were not read")
            return
        try:
            source = identity.source(self._session, self._setup.env)
        except SnapshotterError as error:
            self.blocked = "there are no credentials"
            yield failed("credentials", error, runbook.CREDENTIALS)
            return
        yield credentials(source)
        try:
            yield caller(identity.caller(self._session), self._setup.role)
        except NoCredentials as error:
            self.blocked = "the credentials are not accepted"
            yield failed("identity", error, runbook.CREDENTIALS)
        except Unavailable as error:
            yield Check("identity", "warning", error.message, error.hint, runbook.CREDENTIALS, error)


def clock(answer: EndpointReply) -> Check:
    """This machine's clock against the endpoint's."""
    if answer.skew is None:
        return Check(
            "clock", "warning", "the endpoint did not say what time it is", "check ntp", runbook.CLOCK
        )
    skew = abs(answer.skew)
    state: State = "failed" if skew >= _SKEW_FAIL else "warning" if skew >= _SKEW_WARN else "ok"
    says = f"{skew:.0f} s {'behind' if answer.skew > 0 else 'ahead of'} the endpoint's"
    return Check(
        "clock", state, says, "" if state == "ok" else "set this machine's clock (ntp)", runbook.CLOCK
    )


def credentials(source: identity.Source) -> Check:
    """Whether the credentials are of a kind that lasts and cannot leak."""
    until = f", until {source.expires_at:%H:%M:%S} UTC" if source.expires_at else ""
    says = f"from {source}{until}"
    if source.static:
        hint = "static keys do not expire and leak: use the task role, or single sign-on"
        return Check("credentials", "warning", f"{says}: static keys", hint, runbook.CREDENTIALS)
    if not source.renewed:
        hint = "nothing renews them: a run that outlives them fails"
        return Check("credentials", "warning", f"{says}: temporary keys", hint, runbook.CREDENTIALS)
    return Check("credentials", "ok", says)


def caller(arn: str, expected: str) -> Check:
    """Whether the caller is the role that a task should be, or an operator."""
    role = role_of(arn)
    if role == expected:
        return Check("identity", "ok", arn)
    if role and is_execution_role(role):
        hint = f"set the task definition's taskRoleArn to {expected}: the execution role only starts the task"
        return Check("identity", "failed", f"{arn} is an execution role", hint, runbook.ROLES)
    if arn.endswith(":root"):
        hint = "use the task role or an operator's identity: the account's root user is bound by no policy"
        return Check("identity", "warning", f"{arn} is the account itself", hint, runbook.ROLES)
    if role:
        hint = f"it works if it has the same policy; a task should be {expected}"
        return Check("identity", "warning", f"{arn}, not {expected}", hint, runbook.ROLES)
    return Check("identity", "ok", f"{arn}, an operator")
