"""The checks of the way to S3: the endpoint, the clocks, the credentials, and who they are."""

from __future__ import annotations

from collections.abc import Iterator

from snapshotter.aws import endpoint, identity, unsigned
from snapshotter.aws.endpoint import Endpoint
from snapshotter.aws.scope import is_execution_role, role_of
from snapshotter.aws.unreached import other_region
from snapshotter.aws.unsigned import EndpointReply
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
            where = endpoint.resolve(self._setup.env)
            self._session = endpoint.session(where.region)
        except UsageError as error:
            self.blocked = "the AWS settings cannot be used"
            yield failed("endpoint", error, runbook.REGION)
            return
        try:
            endpoint.require_tls(where.url, allow_http=self._setup.allow_http)
        except UsageError as error:
            self.blocked = "the endpoint is plain HTTP"
            yield failed("endpoint", error, runbook.PLAIN_HTTP)
            return
        try:
            answer = unsigned.ask(where, bucket)
        except Unavailable as error:
            self.blocked = "the endpoint does not answer"
            yield failed("endpoint", error, runbook.REGION)
            return
        yield self._place(bucket, answer, where)
        yield clock(answer)

    def _place(self, bucket: str, answer: EndpointReply, where: Endpoint) -> Check:
        """Whether the bucket is where it is looked for."""
        shown = f"{redact(where.url)}, region {where.region}{' (assumed)' if where.assumed else ''}"
        if answer.status == 404 and not answer.by_s3:
            self.blocked = "the endpoint is no S3"
            other = Unavailable(
                f"{redact(where.url)} answers by HTTP 404, and not in S3's words",
                code="store",
                hint="a proxy, or a server that is no S3, answered: check the network and AWS_ENDPOINT_URL_S3",
            )
            return failed("endpoint", other, runbook.REGION)
        if answer.status == 404:
            self.blocked = "there is no such bucket"
            gone = Unavailable(f"no such bucket: {bucket}", code="no-bucket", hint="check --store")
            return failed("endpoint", gone, runbook.REGION)
        if answer.region and answer.region != where.region:
            self.blocked = "the region is wrong"
            return failed("endpoint", other_region(bucket, answer.region), runbook.REGION)
        if where.assumed:
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
    state: State = "warning" if skew >= _SKEW_WARN else "ok"
    says = f"{skew:.0f} s {'behind' if answer.skew > 0 else 'ahead of'} the endpoint's"
    if skew >= _SKEW_FAIL:
        wrong = NoCredentials(f"this machine's clock is {says}", hint="set this machine's clock (ntp)")
        return failed("clock", wrong, runbook.CLOCK)
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
