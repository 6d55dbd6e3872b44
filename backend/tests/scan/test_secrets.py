import hashlib
import hmac
import json
import logging
import os
import shutil
import sqlite3
import stat
import tarfile
import threading
import time
import traceback
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from snapshotter.base.cancel import Cancel
from snapshotter.base.errors import Interrupted
from snapshotter.scan import secrets
from snapshotter.scan.runner import ScannerFailed
from snapshotter.scan.secrets import SecretFinding
from snapshotter.scan.staging import Staging, name_key
from tests.scan import planted
from tests.scan.planted import VALUES

KEY = b"a key of the tests"
VALUE = VALUES["github-pat"]


@pytest.fixture(scope="session")
def rule_cache(tmp_path_factory) -> Path:
    """kingfisher's compiled rules, kept from one run of the tests to the next."""
    cache = Path.home() / ".cache" / "fruitful-snapshotter-tests" / "kingfisher"
    secrets.warm(cache, folder=tmp_path_factory.mktemp("warm"), seconds=300, cancel=Cancel())
    return cache


@pytest.fixture
def staging(tmp_path):
    with Staging(0, folder=tmp_path, tmpfs=tmp_path / "none") as made:
        yield made


@pytest.fixture
def find(staging, rule_cache):
    def run(**more) -> list[SecretFinding]:
        options = {"key": KEY, "seconds": 120, "cancel": Cancel(), "rule_cache": rule_cache}
        return secrets.find(staging, **options | more)

    return run


def oid(number: int) -> str:
    return f"{number:040x}"


def mark(value: str) -> str:
    return hmac.new(KEY, value.encode(), hashlib.sha256).hexdigest()


def test_planted_secrets_of_every_kind_are_found_once(staging, find):
    for number, value in enumerate(VALUES.values()):
        staging.add(oid(number), "py", planted.in_source(value))
    found = {finding.blob: finding for finding in find()}
    assert len(VALUES) >= 12
    assert len(find()) == len(found) == len(VALUES)
    for number, (kind, value) in enumerate(VALUES.items()):
        finding = found[oid(number)]
        assert finding.rule.endswith(kind), kind
        assert (finding.line, finding.fingerprint) == (2, mark(value)), kind
        assert finding.confidence in ("medium", "high")


def test_of_a_pair_each_half_is_reported_and_neither_is_shown(staging, find):
    key_id, secret = planted.AWS
    staging.add(oid(1), "py", f'id = "{key_id}"\nsecret = "{secret}"\n'.encode())
    by_name, by_form = sorted(find(), key=lambda one: one.confidence == "high")
    assert (by_form.rule.endswith("aws-access-token"), by_form.fingerprint) == (True, mark(key_id))
    assert (by_name.rule, by_name.confidence) == ("fruitful.named-credential", "low")
    assert by_name.fingerprint == mark(secret)
    assert secret not in repr(find()) and key_id not in repr(find())


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("named-credential", 'DB_PASSWORD = "{}"'),
        ("named-credential", "def connect(host='db', password='{}'):"),
        ("named-credential", 'const dbPassword: string = "{}";'),
        ("named-credential", "apiKey := `{}`"),
        ("named-credential", "$config['encryption_key'] = '{}';"),
        ("named-credential", 'props.put("client.secret", "{}");'),
        ("named-credential", '{{"attributes":{{"master_password":"{}"}}}}'),
        ("named-credential", "config.secret_key_base = '{}'"),
        ("named-credential", 'db_pass = "{}"'),
        ("named-credential", "$dbPass = '{}';"),
        ("named-credential", 'pub const PASSWORD: &\'static str = "{}";'),
        ("named-credential", 'let password = String::from("{}");'),
        ("named-credential", 'var apiToken string = "{}"'),
        ("named-credential", 'const char password[] = "{}";'),
        ("named-credential", '#define DB_PASSWORD "{}"'),
        ("named-credential", "CREATE USER bob WITH PASSWORD '{}';"),
        ("named-credential", "ALTER USER bob IDENTIFIED BY '{}';"),
        ("named-credential", 'source.setPassword("{}");'),
        ("named-credential", 'if (password === "{}") {{'),
        ("named-credential", 'SECRET_KEY = os.getenv("SECRET_KEY", "{}")'),
        ("named-credential", 'passphrase = """{}"""'),
        ("with-other-settings", "ENV A=1 DB_SECRET={} B=2"),
        ("with-other-settings", 'connect("host=db user=x password={} dbname=y")'),
        ("with-other-settings", 'connectionString="Server=db;User Id=sa;Password={};"'),
        ("with-other-settings", "web ansible_ssh_pass={} ansible_user=x"),
        ("named-element", "<server><id>x</id><password>{}</password></server>"),
        ("named-element", '<add key="ApiSecret" value="{}"/>'),
        ("named-default", '@Value("${{db.password:{}}}") String password;'),
        ("authorization-header", 'h = {{"Authorization": "Bearer {}"}}'),
        ("terraform-state", '{{"type":"random_password","instances":[{{"attributes":{{"result":"{}"}}}}]}}'),
        ("terraform-state", '"db_password": {{\n  "value": "{}"\n}}'),
        ("pgpass-password", "db.acme.io:5432:shop:bob:{}"),
        ("sshpass-password", "sshpass -p {} ssh deploy@h"),
        ("npmrc-credential", "registry=https://r/\n//npm.acme.io:8443/a/:_authToken={}"),
        ("npmrc-credential", "//npm.acme.io/:_password = {}\r"),
        ("npmrc-credential", '_auth="{}"'),
        ("netrc-password", "default login bob password {}"),
        ("named-setting", "hmac.secret={}"),
        ("named-setting", "    password: {}"),
        ("named-setting", "ENV DB_PASSWORD={}"),
        ("named-setting", "ENV DB_PASSWORD {}"),
        ("named-setting", "      - MYSQL_ROOT_PASSWORD={}"),
        ("named-setting", "export API_TOKEN={}\r"),
        ("netrc-password", "machine git.acme.io login bob password {}"),
        ("registry-auth", '{{"auths":{{"https://r.acme.io/":{{"auth":"{}"}}}}}}'),
        ("url-password", "spring.datasource.url=jdbc:mysql://db.acme.io:3306/x?user=app&password={}"),
        ("kubernetes-secret", "kind: Secret\nmetadata: {{name: x}}\nstringData:\n  a: {}"),
    ],
)
def test_a_password_is_found_by_the_name_it_is_given(staging, find, rule, line):
    value = "q7Lw2ZxN4vKp9RtB3mYd"
    staging.add(oid(1), "", (line.format(value) + "\n").encode())
    (finding,) = find()
    assert (finding.rule, finding.confidence) == (f"fruitful.{rule}", "low")
    before = line.partition("{}")[0]
    assert (finding.fingerprint, finding.line) == (mark(value), before.count("\n") + 1)


SECRETS = """kind: ConfigMap
data: {a: q7Lw2ZxN4vKp9RtB3m00}
---
apiVersion: v1
data:
  one: q7Lw2ZxN4vKp9RtB3m01
  two: "q7Lw2ZxN4vKp9RtB3m02"
  short: abc
  none: Y2hhbmdlbWU=
  mine: ${PASSWORD}
stringData:
  three: |
    q7Lw2ZxN4vKp9RtB3m03
kind: Secret
---
kind: List
items:
- {kind: Secret, data: {four: q7Lw2ZxN4vKp9RtB3m04, five: q7Lw2ZxN4vKp9RtB3m05}}
"""
AS_JSON = """{
\t"data": {
\t\t"a": "q7Lw2ZxN4vKp9RtB3m06",
\t\t"b": "q7Lw2ZxN4vKp9RtB3m07"
\t},
\t"kind": "Secret"
}
"""
A_TEMPLATE = "kind: Secret\n{{- if .x }}\nmetadata: {name: x}\ndata:\n  a: q7Lw2ZxN4vKp9RtB3m08\n{{- end }}\n"


@pytest.mark.parametrize(
    ("text", "lines"),
    [(SECRETS, [6, 7, 12, 18, 18]), (AS_JSON, [3, 4]), (A_TEMPLATE, [5]), ("kind: Secretary\n", [])],
)
def test_every_value_of_a_kubernetes_secret_is_found(staging, find, text, lines):
    staging.add(oid(1), "yaml", text.encode())
    found = [one for one in find() if one.rule == "fruitful.kubernetes-secret"]
    assert [one.line for one in found] == lines
    assert len({one.fingerprint for one in found}) == len(lines)
    assert not [one for one in find() if "marks" in one.rule]


@pytest.mark.parametrize(
    "text",
    [
        "kind: Secret\ndata: " + "[" * 20_000,
        "kind: Secret\ndata: &a {x: *a}\n",
        "kind: Secret\ndata:\n  a: !!python/object:os.system {}\n",
        "kind: Secret\ndata: [a, b]\nstringData: text\n",
        "- kind: Secret\n- kind: [Secret]\n- ? {kind: Secret}\n  : kind\n",
        "kind: Secret\0",
    ],
)
def test_a_secret_that_is_no_such_thing_is_passed_over(staging, find, text):
    staging.add(oid(1), "yaml", text.encode())
    assert find() == []


@pytest.mark.parametrize(
    "line",
    [
        'password = os.environ["DB_PASSWORD1"]',
        'PASSWORD = "${DB_PASSWORD_2}"',
        "password: {{ vault_db_password_1 }}",
        'password = "changeme12345"',
        'token = "your_token_1_goes_here"',
        'raise ValueError("password must have 8 to 64 characters")',
        "password_file: /run/secrets/db_password_1",
        'token_url = "https://login.acme.io/oauth2/v2.0/token"',
        'SECRET_NAME = "my-secret-v1"',
        'tokenizer = "WordPiece2Tokenizer"',
        "secret: false",
        'InvalidTokenError = "InvalidTokenError"',
        "password = getpass.getpass(prompt1)",
        '{"author": "a b", "oauth": "https://x.io/1"}',
    ],
)
def test_what_stands_for_a_value_is_no_finding(staging, find, line):
    staging.add(oid(1), "", f"{line}\n".encode())
    assert find() == []


def test_a_rule_that_knows_the_form_comes_before_the_name(staging, find):
    staging.add(oid(1), "", f'token = "{VALUE}"\n'.encode())
    (finding,) = find()
    assert finding.rule == "betterleaks.github-pat"


def test_no_value_is_seen_anywhere(staging, find, tmp_path, caplog, capfd):
    """Not in what comes back, not on a terminal or in a log, and in no file but the staged blobs themselves."""
    caplog.set_level(logging.DEBUG)
    for number, value in enumerate(VALUES.values()):
        staging.add(oid(number), "py", planted.in_source(value))
    said = (
        repr(find()) + repr(find(key=None)) + repr(vars(staging)) + caplog.text + "".join(capfd.readouterr())
    )
    for root, _, names in os.walk(tmp_path):
        for name in names:
            path = Path(root, name)
            said += str(path)
            if path.parent.parent.parent != staging.root:
                said += path.read_text("utf-8", "replace")
    for kind, value in VALUES.items():
        for line in value.splitlines()[1:-1] or [value]:
            assert line not in said, kind


def test_the_fingerprint_without_a_key_tells_nothing_of_the_value(staging, find):
    text = f'a = "{VALUE}"\nb = "{VALUE}"\n'.encode()
    staging.add(oid(1), "py", text)
    assert [(finding.line, finding.fingerprint) for finding in find(key=None)] == [(1, ""), (2, "")]


def test_one_value_has_one_fingerprint_wherever_it_stands(staging, find):
    staging.add(oid(1), "py", f'a = "{VALUE}"\nx = 1\nb = "{VALUE}" or "{VALUE}"\n'.encode())
    staging.add(oid(2), "", f"{VALUE}\n".encode())
    assert find() == [
        SecretFinding(oid(1), "betterleaks.github-pat", 1, "high", mark(VALUE)),
        SecretFinding(oid(1), "betterleaks.github-pat", 3, "high", mark(VALUE)),
        SecretFinding(oid(2), "betterleaks.github-pat", 1, "high", mark(VALUE)),
    ]


def test_what_is_found_does_not_depend_on_the_name(staging, find):
    paths = [
        "a.py",
        "a",
        "package-lock.json",
        "go.sum",
        "a.css",
        "a.svg",
        "a.png",
        "a.zip",
        "a.gz",
        "a.exe",
        "x.min.js",
        "node_modules/a.map",
        "vendor/x.lock",
        "LICENSE",
        ".gitignore",
        "test/fixtures/example.pdf",
        "a\n\x1b[31m.py",
        "../../x",
        "x" * 4000,
    ]
    for number, path in enumerate(paths):
        staging.add(oid(number), name_key(path), f'x = "{VALUE}" # {number}\n'.encode())
    assert find() == [
        SecretFinding(oid(number), "betterleaks.github-pat", 1, "high", mark(VALUE))
        for number in range(len(paths))
    ]


def test_a_blob_under_two_names_is_read_once(staging, find):
    staging.add(oid(1), "py", f'x = "{VALUE}"\n'.encode())
    staging.add(oid(1), "makefile", f'x = "{VALUE}"\n'.encode())
    assert len(find()) == 1


def test_a_repository_cannot_hide_a_secret(staging, find):
    """Neither by a comment, nor by the first bytes of an archive, nor among bytes that are no text."""
    hidden = [
        f'x = "{VALUE}"  # {word}\n'.encode()
        for word in ("kingfisher:ignore", "kingfisher:allow", "gitleaks:allow", "betterleaks:allow", "nosec")
    ]
    for start in (
        b"PK\3\4",
        b"PK\5\6",
        b"\x1f\x8b",
        b"BZh9",
        b"\xfd7zXZ\0",
        b"7z\xbc\xaf",
        b"%PDF-1.7 ",
        b"\x89PNG\r\n",
        b"\0",
    ):
        hidden.append(start + f' "{VALUE}"\n'.encode())
    hidden += [VALUE.encode("utf-16"), b"\xfd\xff\xfe\n" * 5000 + f'"{VALUE}"'.encode()]
    for number, data in enumerate(hidden):
        staging.add(oid(number), "", data)
    assert {finding.blob for finding in find()} == {oid(number) for number in range(len(hidden))}


def test_no_archive_is_extracted(staging, find, tmp_path):
    text = f'x = "{VALUE}"\n'.encode()
    zipped, tarred = BytesIO(), BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.py", text * 3)
        archive.writestr("../../escaped", text * 3)
    with tarfile.open(fileobj=tarred, mode="w:gz") as archive:
        member = tarfile.TarInfo("a.py")
        member.size = len(text)
        archive.addfile(member, BytesIO(text))
    staging.add(oid(1), "zip", zipped.getvalue())
    staging.add(oid(2), "gz", tarred.getvalue())
    assert find() == []
    assert not list(tmp_path.rglob("*escaped*"))


def test_blobs_of_every_sort_are_all_read(staging, find, tmp_path):
    """An account that is short would be a scanner that failed: so it must not be short of ordinary blobs."""
    with sqlite3.connect(tmp_path / "db") as database:
        database.execute("CREATE TABLE t (x)")
    database.close()
    sorts = [
        b"",
        b" ",
        b"\n",
        b"\0",
        b"PK",
        b"PK\3\4",
        b"\x1f\x8b",
        b"#!/bin/sh\n",
        b"\xff" * 100,
        b"x" * (3 << 20),
    ]
    for number, data in enumerate([*sorts, (tmp_path / "db").read_bytes()]):
        staging.add(oid(number), "", data)
    assert find() == []


def test_no_size_is_passed_over(staging, find):
    staging.add(oid(1), "", b"int main(void) { return 0; }\n" * 1_000_000 + f'"{VALUE}"\n'.encode())
    assert [finding.line for finding in find()] == [1_000_001]


def test_many_blobs_are_read_at_once_and_every_time_alike(staging, find):
    for number in range(3000):
        staging.add(
            oid(number), "py", b"x = %d\n" % number + (f'"{VALUE}"'.encode() if number % 50 == 0 else b"")
        )
    first = find()
    assert [finding.blob for finding in first] == [oid(number) for number in range(0, 3000, 50)]
    assert all(find() == first for _ in range(2))


def test_nothing_staged_starts_nothing(find):
    assert find(kingfisher=Path("/nonexistent")) == []


def test_compiled_rules_are_used_where_nobody_may_write(staging, find, rule_cache, tmp_path):
    cache = tmp_path / "cache"
    shutil.copytree(rule_cache, cache)
    made = {path.name: path.stat().st_mtime_ns for path in cache.iterdir()}
    assert made, "`warm` compiled them"
    cache.chmod(0o500)
    staging.add(oid(1), "py", f'x = "{VALUE}"\n'.encode())
    assert len(find(rule_cache=cache)) == 1
    cache.chmod(0o700)
    assert {path.name: path.stat().st_mtime_ns for path in cache.iterdir()} == made


@pytest.mark.full
@pytest.mark.parametrize("home", ["/proc/nonexistent", "relative"])
def test_without_a_place_for_compiled_rules_it_takes_longer_and_finds_the_same(
    staging, find, monkeypatch, home
):
    monkeypatch.setenv("XDG_CACHE_HOME", home)
    staging.add(oid(1), "py", f'x = "{VALUE}"\n'.encode())
    assert len(find(rule_cache=None)) == 1


def test_the_cache_is_in_the_users_cache_folder(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert secrets.default_rule_cache() == Path("/somewhere/fruitful-snapshotter/kingfisher")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/someone")
    assert secrets.default_rule_cache() == Path("/home/someone/.cache/fruitful-snapshotter/kingfisher")


@pytest.fixture
def fake(tmp_path):
    """Makes a program that stands in for kingfisher."""

    def make(body: str) -> Path:
        path = tmp_path / "kingfisher"
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755 | stat.S_IXUSR)
        return path

    return make


def record(path: str, value: str = VALUE, **more) -> str:
    finding = {"path": path, "line": 1, "confidence": "high", "snippet": value} | more
    return json.dumps({"rule": {"id": "r"}, "finding": finding})


def account(read: int = 1, status: str = "completed") -> str:
    one = {"repository": "/x/blobs", "scan": {"status": status}, "stats": {"blobs_scanned": read}}
    return json.dumps({"audit": {"repositories": [one]}})


GARBAGE = "wrote something else than its report"


@pytest.mark.parametrize(
    ("lines", "after", "reason"),
    [
        ([record(f"blobs/00/{oid(1)}")], "exit 1", "exited with status 1"),
        ([record(f"blobs/00/{oid(1)}")], "kill -SEGV $$", "was killed by signal 11"),
        ([record(f"blobs/00/{oid(1)}")], "exec sleep 600", "ran for over 1 s"),
        ([record(f"blobs/00/{oid(1)}")], "yes '" + VALUE + "'", "wrote more than 67,108,864 bytes"),
        ([record(f"blobs/00/{oid(1)}")], "exit 0", GARBAGE),
        ([record(f"blobs/00/{oid(1)}"), account(0)], "exit 200", "read 0 of 1 blobs"),
        ([record(f"blobs/00/{oid(1)}"), account(1, "partial")], "exit 200", GARBAGE),
        ([record(f"blobs/00/{oid(2)}"), account()], "exit 200", GARBAGE),
        ([record("/etc/passwd"), account()], "exit 200", GARBAGE),
        ([record(f"other/00/{oid(1)}"), account()], "exit 200", GARBAGE),
        ([record(f"blobs/00/{oid(1)}")[:-20], account()], "exit 200", GARBAGE),
        ([record(f"blobs/00/{oid(1)}", line=VALUE), account()], "exit 200", GARBAGE),
        ([f"panicked at {VALUE}"], "exit 200", GARBAGE),
        ([], "exit 0", GARBAGE),
    ],
)
def test_a_kingfisher_that_fails_is_one_error_without_a_value(
    staging, find, fake, tmp_path, lines, after, reason
):
    staging.add(oid(1), "py", b"x = 1\n")
    (tmp_path / "report").write_text("".join(line + "\n" for line in lines))
    body = f"cat '{tmp_path}/report'; echo '{VALUE}' >&2; {after}"
    with pytest.raises(ScannerFailed) as failed:
        find(kingfisher=fake(body), seconds=1 if "sleep" in after else 60)
    error = failed.value
    assert (error.scanner, error.reason) == ("kingfisher", reason)
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    ours = [str(frame.locals) for frame in shown.stack if "/snapshotter/" in frame.filename]
    assert len(ours) >= 1
    assert VALUE not in repr(ours) + repr(error.as_dict()) + repr(error.__context__)


def test_the_report_that_the_fakes_write_is_otherwise_believed(staging, find, fake, tmp_path):
    staging.add(oid(1), "py", b"x = 1\n")
    (tmp_path / "report").write_text(record(f"blobs/00/{oid(1)}") + "\n" + account() + "\n")
    assert find(kingfisher=fake(f"cat '{tmp_path}/report'; exit 200")) == [
        SecretFinding(oid(1), "r", 1, "high", mark(VALUE))
    ]


def test_a_cancellation_ends_it(staging, find, fake, tmp_path):
    staging.add(oid(1), "py", b"x = 1\n")
    cancel = Cancel()

    def stop() -> None:
        while not (tmp_path / "started").exists():
            time.sleep(0.01)
        cancel.cancel(Interrupted("enough"))

    threading.Thread(target=stop).start()
    with pytest.raises(Interrupted, match="enough"):
        find(kingfisher=fake(f": > '{tmp_path}/started'; exec sleep 600"), cancel=cancel)


def test_matches_do_not_show_their_value():
    match = secrets._Match(path="p", line=1, confidence="high", snippet=VALUE)
    assert VALUE not in repr(secrets._Record(rule=secrets._Rule("r"), finding=match))
