"""`snapshotter job`: the document, the result, the log, the metrics, the exit codes, the signals."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from githost import Fault, GitHost
from snapshotter.archive.manifest import SCHEMA_VERSION
from snapshotter.aws.scope import PRODUCTION, SCOPE
from snapshotter.capture.plan import RequestedOptions
from snapshotter.cli.snapshot import SnapshotFlags
from snapshotter.fleet.document import MAX_DOCUMENT
from tests.infra.template import SERVICE, access_policy, bucket_policy, resolve
from tests.servers import assume_role, put_bucket_with_policy, rgw
from tests.support.cli import cli_env, command, wait_for
from tests.support.git import Origin
from tests.support.httpservers import Scripted, Seen
from tests.support.lab import Lab
from tests.support.processes import heeds

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = json.loads((ROOT / "docs" / "job.schema.json").read_text(encoding="utf-8"))


class Ran(NamedTuple):
    code: int
    document: dict[str, Any]
    log: list[dict[str, Any]]

    @property
    def metrics(self) -> tuple[int, int]:
        """The sums of SnapshotsSucceeded and SnapshotsFailed."""
        return self.measured("SnapshotsSucceeded"), self.measured("SnapshotsFailed")

    def measured(self, metric: str) -> int:
        """The sum of a metric."""
        return sum(line.get(metric, 0) for line in self.log if "_aws" in line)


def ran(code: int, out: str, err: str) -> Ran:
    assert len(out.splitlines()) == 1, "stdout holds one document, on one line"
    return Ran(code, json.loads(out), [json.loads(line) for line in err.splitlines()])


def job(
    document: object = None, *argv: str | Path, stdin: str = "", cwd: Path | None = None, **env: str
) -> Ran:
    env = {"SNAPSHOTTER_SCAN": "0"} | env
    if document is not None:
        env["SNAPSHOTTER_JOB"] = document if isinstance(document, str) else json.dumps(document)
    done = subprocess.run(
        command("job", *argv),
        env=cli_env(**env),
        input=stdin,
        capture_output=True,
        text=True,
        cwd=cwd,
        timeout=60,
        check=False,
    )
    return ran(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize("own", [True, False])
def test_a_document_that_lies_in_the_store_is_taken_by_a_reference_alone(
    tmp_path: Path, *, own: bool
) -> None:
    Origin(tmp_path / "a.git").commit()
    store, document = str(tmp_path / "store"), {"origin": str(tmp_path / "a.git")}
    (tmp_path / "store" / "_jobs").mkdir(parents=True)
    (tmp_path / "link.json").symlink_to(tmp_path / "store" / "_jobs" / "x.json")
    text = json.dumps(document if own else {**document, "store": store})
    (tmp_path / "link.json").write_text(text)
    settings = {"SNAPSHOTTER_STORE": store} if own else {}
    for path in ("store/_jobs/x.json", "link.json"):
        done = job(None, "--file", path, cwd=tmp_path, **settings)
        assert done.code == 2
        assert "lies in the store" in done.document["error"]["message"]
        assert done.document["error"]["hint"].endswith('"sha256": "…"} in its place')
    (tmp_path / "own.json").write_text(text)
    assert job(None, "--file", "own.json", cwd=tmp_path, **settings).code == 0


@pytest.fixture
def origin(tmp_path: Path) -> Origin:
    made = Origin(tmp_path / "origin.git")
    made.commit()
    return made


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"file:{tmp_path / 'store'}"


def test_one_origin_gives_keys_and_digests(origin: Origin, store: str, tmp_path: Path) -> None:
    done = job({"origin": str(origin.path), "store": store, "labels": {"team": "core"}})
    assert done.code == 0, done
    assert (done.document["ok"], done.document["stage"], done.document["error"]) == (True, "done", None)
    (result,) = done.document["origins"]
    assert (result["kind"], result["stage"]) == ("base", "done")
    taken = Lab(tmp_path / "store").catalog
    (run,) = taken.snapshots(result["repo"])
    sealed = taken.manifest(run.key)
    assert result["manifest"] == {"key": run.key.key("manifest.json"), "sha256": sealed.sha256}
    stored = [{"key": a.key, "bytes": a.bytes, "sha256": a.sha256} for a in sealed.manifest.artifacts]
    assert result["artifacts"] == stored
    assert sealed.manifest.labels == {"team": "core"}


def test_an_unchanged_origin_counts_as_succeeded(origin: Origin, store: str) -> None:
    document = {"origin": str(origin.path), "store": store}
    job(document)
    done = job(document)
    assert done.document["origins"][0]["kind"] == "unchanged"
    assert done.metrics == (1, 0)


def test_one_bad_origin_does_not_cost_the_others(origin: Origin, store: str, tmp_path: Path) -> None:
    names = [str(tmp_path / "gone"), str(origin.path), "ftp://host/x", str(origin.path) + "/"]
    done = job({"origins": names, "store": store})
    assert done.code == 3
    assert done.document["error"]["code"] == "partial"
    assert (done.document["succeeded"], done.document["failed"]) == (1, 3)
    assert [r["ok"] for r in done.document["origins"]] == [False, True, False, False]
    codes = [r["error"]["code"] for r in done.document["origins"] if r["error"]]
    assert codes == ["origin-not-found", "usage", "job"]  # the last one is the second, named again
    assert all(r["error"]["hint"] for r in done.document["origins"] if r["error"])
    assert done.metrics == (1, 3)


def test_the_only_origin_s_error_is_the_job_s(store: str, tmp_path: Path) -> None:
    done = job({"origin": str(tmp_path / "gone"), "store": store})
    assert (done.code, done.document["error"]["code"]) == (4, "origin-not-found")
    assert done.document["origins"][0]["stage"].startswith("looking for the newest snapshot")


def test_a_store_that_does_not_open_fails_every_origin(origin: Origin) -> None:
    done = job({"origins": [str(origin.path), "https://127.0.0.1:1/x"], "store": "ftp://x"})
    assert (done.code, done.document["stage"], done.metrics) == (2, "opening the store", (0, 2))
    assert [r["stage"] for r in done.document["origins"]] == ["opening the store"] * 2


def test_a_gate_that_trips_costs_no_snapshot_and_is_a_finding(
    origin: Origin, store: str, tmp_path: Path
) -> None:
    token = "ghp_" + "R7q2Xv9LmN4sKd8TzYw1BcGh5JpAeU0f3iQo"  # in a token's form, and never one
    leaky = Origin(tmp_path / "leaky.git")
    leaky.commit(files={"settings.txt": f'github_token = "{token}"\n'.encode()})
    document = {"origins": [str(leaky.path), str(origin.path)], "store": store, "options": {"scan": True}}
    gated = document | {"options": {"scan": True, "secret_gate": True}}
    done = job(gated, SNAPSHOTTER_RULE_CACHE=str(tmp_path / "rules"))
    assert (done.code, done.document["error"]["code"]) == (1, "secret-gate")
    assert (done.document["succeeded"], done.document["failed"], done.metrics) == (2, 0, (2, 0))
    first, second = done.document["origins"]
    assert (first["ok"], first["kind"], first["scan"]["tables"]["secrets"]) == (False, "base", 1)
    assert (second["ok"], second["scan"]["tables"]["secrets"]) == (True, 0)
    again = job(document, SNAPSHOTTER_RULE_CACHE=str(tmp_path / "rules"))
    assert (again.code, again.document["origins"][0]["scan"]["run_id"]) == (0, first["run_id"]), (
        "no gate was asked for"
    )
    told = [done.document, done.log, again.document, again.log]

    rules = {"SNAPSHOTTER_RULE_CACHE": str(tmp_path / "rules")}
    assert job(gated, **rules).code == 0, "the same finding rings once"
    leaky.commit(files={"notes.txt": b"nothing\n"})
    edited = job(gated, **rules)
    assert (edited.code, edited.document["origins"][0]["scan"]["tables"]["secrets"]) == (0, 1), (
        "nor after an edit"
    )
    leaky.commit(files={"more.txt": f'github_token = "{token[:-1]}"\n'.replace("R7q2", "7qR2").encode()})
    third = job(gated, **rules)
    assert (third.code, third.document["origins"][0]["scan"]["tables"]["secrets"]) == (1, 2)
    assert third.document["origins"][0]["error"]["message"].startswith("the secret gate tripped: 1 ")
    assert token not in json.dumps([*told, third.document, third.log])


@pytest.mark.parametrize(
    ("document", "named"),
    [("", "no job was given"), ("{", "not a job"), ({"origins": []}, "names no origin")],
)
def test_a_document_that_is_no_job_ends_with_a_result_that_says_so(document: object, named: str) -> None:
    done = job(document)
    assert (done.code, done.document["ok"], done.document["stage"]) == (2, False, "reading the job")
    assert named in done.document["error"]["message"]
    assert done.document["error"]["hint"]


def test_the_document_comes_from_a_file_stdin_or_the_variable(
    origin: Origin, store: str, tmp_path: Path
) -> None:
    text = json.dumps({"origin": str(origin.path), "store": store})
    (tmp_path / "job.json").write_text(text)
    (tmp_path / ".env").write_text(f"SNAPSHOTTER_JOB='{text}'\n")
    assert job(None, "--file", tmp_path / "job.json").code == 0
    assert job(None, "-", stdin=text).code == 0
    assert job(None, "--file", "-", stdin=text).code == 0
    assert job(None, cwd=tmp_path).code == 0
    assert job({"origin": "ftp://"}, "-", stdin=text).code == 0, "what is named wins over the variable"
    assert job(None, "--file", tmp_path / "none.json").code == 2
    assert job(None, "job.json").code == 2


def test_a_document_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    (tmp_path / "job.json").write_text(json.dumps({"origin": "x", "labels": {"a": "b" * MAX_DOCUMENT}}))
    done = job(None, "--file", tmp_path / "job.json")
    assert (done.code, "larger than" in done.document["error"]["message"]) == (2, True)


STREAMS = [
    ("1", ">&-", 0),
    ("1", ">/dev/full", 4),
    ("2", "2>&-", 0),
    ("2", "2>/dev/full", 0),
    ("0", "<&-", 0),
]


@pytest.mark.parametrize(("number", "how", "code"), STREAMS)
def test_a_stream_that_is_closed_or_full_costs_no_snapshot(
    number: str, how: str, code: int, origin: Origin, store: str, tmp_path: Path
) -> None:
    env = cli_env(
        SNAPSHOTTER_SCAN="0", SNAPSHOTTER_JOB=json.dumps({"origin": str(origin.path), "store": store})
    )
    argv = ["bash", "-c", f'"$@" {how}', "bash", *command("job")]
    done = subprocess.run(argv, env=env, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert number == "1" or json.loads(done.stdout)["ok"]
    taken = Lab(tmp_path / "store").catalog
    (repo,) = [path.name for path in (tmp_path / "store").iterdir()]
    assert len(taken.snapshots(repo)) == 1
    if code:
        last = json.loads(done.stderr.splitlines()[-1])
        assert (last["level"], "could not be written" in last["message"]) == ("error", True)


def test_sigterm_while_it_waits_for_its_document_ends_it() -> None:
    with subprocess.Popen(
        command("job", "-"),
        env=cli_env(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for(process, lambda: heeds(process.pid, signal.SIGTERM))
        time.sleep(0.3)  # into the wait
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 143
        assert process.stdout and process.stderr
        done = ran(process.returncode, process.stdout.read(), process.stderr.read())
    assert (done.document["stage"], done.document["error"]["code"]) == ("reading the job", "terminated")


def test_a_job_that_takes_too_long_keeps_what_it_has_and_says_so(origin: Origin, store: str) -> None:
    def silent(_: Seen) -> Iterator[bytes]:
        server.closing.wait(30)
        yield b""

    with Scripted(silent) as server:
        names = [str(origin.path), server.url(), str(origin.path.parent / "later")]
        in_turn = {"SNAPSHOTTER_JOB_ORIGINS": "1"}
        done = job({"origins": names, "store": store}, SNAPSHOTTER_JOB_TIMEOUT="2s", **in_turn)
    assert (done.code, done.document["error"]["code"], done.metrics) == (3, "partial", (1, 2))
    codes = [each["error"] and each["error"]["code"] for each in done.document["origins"]]
    assert codes == [None, "job-timeout", "job-timeout"]
    assert "SNAPSHOTTER_JOB_TIMEOUT" in done.document["origins"][1]["error"]["hint"]


def test_the_job_and_the_verb_have_the_same_options() -> None:
    # A job has its origins and labels elsewhere, and says `"lfs": "none"`.
    flags = {field.name for field in fields(SnapshotFlags)} - {"origin", "label", "no_lfs"}
    assert set(RequestedOptions.__struct_fields__) == flags | {"allow_http"}


def test_options_do_in_a_job_what_they_do_in_the_verb(origin: Origin, store: str, tmp_path: Path) -> None:
    origin.commit("refs/heads/other", {"big": bytes(range(256)) * 4096})
    options = {
        "full": True,
        "refs": ["refs/heads/main"],
        "exclude_refs": [],
        "segment_size": "64KiB",
        "max_chain_age": "30d",
        "idle_timeout": "9s",
        "max_refs": 17,
    }
    done = job({"origin": str(origin.path), "store": store, "options": options})
    flags = [
        word
        for key, value in options.items()
        if key not in ("full", "exclude_refs")
        for word in (f"--{key.replace('_', '-')}", str(value[0] if isinstance(value, list) else value))
    ]
    argv = command(
        "snapshot", origin.path, "--store", store, "--full", "--exclude-refs", "", "--json", *flags
    )
    verb = json.loads(
        subprocess.run(argv, env=cli_env(SNAPSHOTTER_SCAN="0"), capture_output=True, check=True).stdout
    )
    taken = Lab(tmp_path / "store").catalog
    by_job = taken.manifest(taken.snapshots(done.document["origins"][0]["repo"])[0].key).manifest
    assert verb["limits"]["idle_seconds"] == by_job.limits.idle_seconds == 9
    assert verb["limits"]["segment_bytes"] == by_job.limits.segment_bytes == 64 * 1024
    assert verb["filters"] == {"refs": by_job.filters.refs, "exclude_refs": by_job.filters.exclude_refs}
    assert verb["refs"]["count"] == by_job.refs.count


def test_the_metrics_are_those_that_the_alarms_watch(origin: Origin, store: str, tmp_path: Path) -> None:
    template = resolve(SERVICE, Image=f"x@sha256:{'0' * 64}", Job="{}", VpcId="vpc-1", SubnetIds="subnet-1")
    (container,) = template["Resources"]["TaskDefinition"]["Properties"]["ContainerDefinitions"]
    env = {each["Name"]: each["Value"] for each in container["Environment"]}
    env = {name: env[name] for name in ("SNAPSHOTTER_SERVICE", "SNAPSHOTTER_STALE_AFTER")}
    began = time.time()
    done = job({"origins": [str(origin.path), str(tmp_path / "gone")], "store": store}, **env)
    verified = job({"verb": "verify", "store": store}, **env)
    ended = time.time()
    watched = set()
    for resource in template["Resources"].values():
        properties = resource["Properties"] if resource["Type"] == "AWS::CloudWatch::Alarm" else {}
        metrics = [m["MetricStat"]["Metric"] for m in properties.get("Metrics", []) if "MetricStat" in m]
        for metric in metrics or [properties]:
            dimensions = {each["Name"]: each["Value"] for each in metric.get("Dimensions", [])}
            if "Service" in dimensions:  # the others are AWS's own, or counted from ECS's events
                watched.add((metric["Namespace"], dimensions["Service"], metric["MetricName"]))
    printed = set()
    for line in (line for line in [*done.log, *verified.log] if "_aws" in line):
        assert began - 0.001 <= line["_aws"]["Timestamp"] / 1000 <= ended
        for directive in line["_aws"]["CloudWatchMetrics"]:
            assert directive["Dimensions"] == [["Service"]]
            printed |= {(directive["Namespace"], line["Service"], m["Name"]) for m in directive["Metrics"]}
            assert all(isinstance(line[metric["Name"]], int) for metric in directive["Metrics"])
    assert watched
    assert watched <= printed
    assert {name for *_, name in printed - watched} == {
        "OldestSnapshotAge",
        "SnapshotsVerified",
        "SnapshotsUnchecked",
    }
    assert done.metrics == (1, 1)
    assert done.measured("OriginsStale") == 1, "the one that is gone: the other's good run does not hide it"
    assert verified.measured("SnapshotsVerified") == 1


def test_a_job_can_verify_the_store_and_one_changed_byte_is_a_finding(
    origin: Origin, store: str, tmp_path: Path
) -> None:
    job({"origin": str(origin.path), "store": store})
    good = job({"verb": "verify", "store": store, "newest": True})
    assert (good.code, good.document["verification"]) == (
        0,
        {"ok": 1, "damaged": [], "unchecked": 0, "unread": [], "expired": 0},
    )
    assert (good.measured("SnapshotsVerified"), good.measured("SnapshotsDamaged")) == (1, 0)

    (bundle,) = (tmp_path / "store").rglob("history.bundle")
    changed = bytearray(bundle.read_bytes())
    changed[-30] ^= 1
    bundle.chmod(0o600)
    bundle.write_bytes(changed)
    bad = job({"verb": "verify", "store": store, "newest": True})
    assert (bad.code, len(bad.document["verification"]["damaged"])) == (1, 1)
    assert (bad.measured("SnapshotsVerified"), bad.measured("SnapshotsDamaged")) == (0, 1)
    assert "the snapshot is damaged" in [line.get("message") for line in bad.log]


def test_another_job_by_hand_does_not_say_that_the_service_s_origins_are_fresh(
    origin: Origin, store: str, tmp_path: Path
) -> None:
    service = json.dumps({"origins": [str(origin.path), str(tmp_path / "gone")], "store": store})
    own = job(service, SNAPSHOTTER_SERVICE_JOB=service)
    by_hand = job({"origin": str(origin.path), "store": store}, SNAPSHOTTER_SERVICE_JOB=service)
    assert own.measured("OriginsStale") == 1
    assert by_hand.metrics == (1, 0)
    assert not {"OriginsStale", "OldestSnapshotAge"} & {name for line in by_hand.log for name in line}


def test_a_verification_that_could_not_check_a_snapshot_says_nothing_of_damage(
    origin: Origin, store: str, tmp_path: Path
) -> None:
    """A count of 0 would end the alarm of a damage that was found before, and that nobody looked for now."""
    job({"origin": str(origin.path), "store": store})
    (manifest,) = (tmp_path / "store").rglob("manifest.json")
    manifest.chmod(0o600)
    newer = manifest.read_text().replace(f'"schema_version":{SCHEMA_VERSION}', '"schema_version":99')
    manifest.write_text(newer)
    done = job({"verb": "verify", "store": store})
    assert (done.measured("SnapshotsVerified"), done.measured("SnapshotsUnchecked")) == (0, 1)
    assert "SnapshotsDamaged" not in {name for line in done.log for name in line}


def test_a_store_without_snapshots_cannot_be_verified(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = job({"verb": "verify", "store": f"file:{tmp_path / 'empty'}"})
    assert (done.code, done.document["error"]["code"]) == (4, "no-snapshot")


def test_two_jobs_at_once_harm_nothing(origin: Origin, store: str, tmp_path: Path) -> None:
    job({"origin": str(origin.path), "store": store})
    origin.commit()
    document = json.dumps({"origin": str(origin.path), "store": store})
    env = cli_env(SNAPSHOTTER_SCAN="0", SNAPSHOTTER_JOB=document)
    both = [
        subprocess.Popen(command("job"), env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        for _ in range(2)
    ]
    results = [(json.loads(each.communicate()[0]), each.returncode) for each in both]
    assert [code for _, code in results] == [0, 0]
    assert len({result["origins"][0]["run_id"] for result, _ in results}) == 2
    verified = job({"verb": "verify", "store": store})
    assert (verified.code, verified.document["verification"]["ok"]) == (0, 3)


def test_every_log_line_says_when_what_and_about_whom(origin: Origin, store: str) -> None:
    lines = [line for line in job({"origin": str(origin.path), "store": store}).log if "_aws" not in line]
    assert lines
    assert all({"time", "level", "message", "origin"} <= set(line) for line in lines)
    quiet = job({"origin": str(origin.path), "store": store}, "--quiet").log
    assert [line for line in quiet if "_aws" not in line] == []


def test_origins_taken_at_once_have_lines_of_their_own_and_results_in_the_job_s_order(tmp_path: Path) -> None:
    names, store = ("slow.git", "quick.git"), tmp_path / "store"
    for name in names:
        Origin(tmp_path / "served" / name).commit()
    together, met = threading.Barrier(2), set[str]()

    def fault(request: str) -> None:
        name = request.split("/")[1]
        if name not in met:
            met.add(name)
            together.wait(60)
        while name == "slow.git" and not [*store.rglob("manifest.json")]:
            time.sleep(0.01)

    with GitHost(tmp_path / "served", fault=fault) as host:
        urls = [host.url(name) for name in names]
        done = job({"origins": urls, "store": f"file:{store}"})
    assert (done.code, [each["origin"] for each in done.document["origins"]]) == (0, urls)
    lines = [line for line in done.log if "_aws" not in line]
    assert {line["origin"] for line in lines} == set(urls)
    stages = [[line["message"] for line in lines if line["origin"] == url] for url in urls]
    assert stages[0] == stages[1]
    assert len(stages[0]) > 2
    assert stages[0][-1] == "the snapshot is taken"
    taken = [line["origin"] for line in lines if line["message"] == "the snapshot is taken"]
    assert taken == urls[::-1]
    measured = [line["origin"] for line in done.log if "SnapshotsSucceeded" in line]
    assert measured == taken


def test_no_credential_is_in_what_a_job_prints(store: str) -> None:
    env = cli_env(
        SNAPSHOTTER_SCAN="0",
        SNAPSHOTTER_JOB=json.dumps({"origin": "https://u:hunter2@127.0.0.1:1/x", "store": store}),
    )
    done = subprocess.run(
        command("job", "--verbose"), env=env, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 4
    assert "127.0.0.1:1/x" in done.stdout
    assert "hunter2" not in done.stdout + done.stderr


@pytest.fixture
def stalling(origin: Origin) -> Iterator[str]:
    """An origin whose pack stops coming."""
    fault = Fault(stall_at=100)
    with GitHost(
        origin.path.parent, fault=lambda request: fault if "upload-pack" in request else None
    ) as host:
        yield host.url("origin.git")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_job_at_once_with_its_document(
    number: signal.Signals, code: int, origin: Origin, stalling: str, store: str
) -> None:
    document = {"origins": [str(origin.path), stalling, "https://127.0.0.1:1/never"], "store": store}
    env = cli_env(SNAPSHOTTER_SCAN="0", SNAPSHOTTER_JOB=json.dumps(document))
    with subprocess.Popen(
        command("job"), env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr
        seen = ""
        awaited = {"the snapshot is taken", stalling}
        for line in process.stderr:
            seen += line
            awaited -= {json.loads(line).get(field) for field in ("message", "origin")}
            if not awaited:
                break
        process.send_signal(number)
        assert process.stdout
        rest, out = process.stderr.read(), process.stdout.read()
        process.wait(60)  # the origin stalls for 90 s
    done = ran(process.returncode, out, seen + rest)
    assert done.code == code
    assert [r["ok"] for r in done.document["origins"]] == [True, False, False]
    assert done.document["error"]["exit_code"] == code
    assert done.metrics == (1, 2)


def test_a_defect_is_one_origin_s_error_with_its_traceback(
    origin: Origin, store: str, tmp_path: Path
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import snapshotter.capture.snapshot as s\nreal = s.take\n"
        "def take(origin, *rest, **more):\n"
        "    if 'bad' in origin.path: raise ZeroDivisionError('https://u:pw@h/x')\n"
        "    return real(origin, *rest, **more)\n"
        "s.take = take\n"
    )
    env = cli_env()
    document = {"origins": [str(tmp_path / "bad"), str(origin.path)], "store": store}
    done = job(document, PYTHONPATH=f"{tmp_path}:{env['PYTHONPATH']}")
    assert done.code == 3
    assert done.document["origins"][0]["error"]["code"] == "defect"
    (line,) = [line for line in done.log if "traceback" in line]
    assert "ZeroDivisionError" in line["traceback"]
    assert "pw@" not in json.dumps(done.log) + json.dumps(done.document)


def test_a_job_can_prove_the_bucket_s_rules() -> None:
    bucket = "snapshots-under-job"
    store = f"s3://{bucket}/repo-scans/snapshotter/"
    with rgw() as server:
        policy = access_policy(BucketName=bucket)
        put_bucket_with_policy(server, bucket, bucket_policy(BucketName=bucket), policy)
        env = server.environment(assume_role(server, policy))
        done = job({"verb": "prove", "store": store, "only": ["put"]}, **env)
        open_bucket = "snapshots-for-all"
        put_bucket_with_policy(server, open_bucket, None, access_policy(BucketName=open_bucket))
        broken = job(
            {"verb": "prove", "store": store.replace(bucket, open_bucket), "only": ["put"]},
            **server.environment(server.user),
        )
        nowhere = job({"verb": "prove", "store": store}, **env | {"AWS_ENDPOINT_URL": "https://127.0.0.1:9"})
    assert (done.code, done.document["ok"], done.document["stage"]) == (0, True, "done"), done
    assert done.document["store"] == store
    assert done.document["proof"]["counts"]["passed"] > 3
    assert done.metrics == (0, 0), "a proof is no snapshot"
    assert (broken.code, broken.document["ok"]) == (1, False)
    assert [line for line in broken.log if line["level"] == "error"]
    assert nowhere.code == 4


def test_a_proof_without_a_store_names_the_bucket_that_it_is_about() -> None:
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-central-1"}
    done = job({"verb": "prove"}, **keys, AWS_ENDPOINT_URL="https://127.0.0.1:9")
    assert (done.code, done.document["store"]) == (4, f"s3://{PRODUCTION}/{SCOPE}")
