"""Every variable that the program reads: one table, which README.md repeats and a test holds to it."""

from __future__ import annotations

from msgspec import Struct


class Setting(Struct, frozen=True):
    """One variable: its name, its default as text ('' for none), and what it does."""

    name: str
    default: str
    help: str
    secret: bool = False


SETTINGS = (
    Setting("SNAPSHOTTER_STORE", "./snapshots", "where snapshots are kept: a folder, or s3://bucket/prefix/"),
    Setting("SNAPSHOTTER_SEGMENT_SIZE", "16MiB", "largest object of a history, 64KiB to 5GiB"),
    Setting("SNAPSHOTTER_UPLOADS", "2", "uploads in flight, each holding one segment in memory"),
    Setting("SNAPSHOTTER_REFS", "", "refs to take, as patterns separated by spaces; empty for all"),
    Setting(
        "SNAPSHOTTER_EXCLUDE_REFS",
        "refs/pull/*/merge refs/merge-requests/*/merge",
        "refs to leave out, as patterns separated by spaces",
    ),
    Setting(
        "SNAPSHOTTER_MAX_CHAIN_AGE",
        "",
        "take a base when the chain's is older, like 30d; required with an expiry",
    ),
    Setting("SNAPSHOTTER_MAX_REFS", "2000000", "refuse an origin with more refs"),
    Setting("SNAPSHOTTER_IDLE_TIMEOUT", "90s", "give up on an origin that sends nothing for so long"),
    Setting(
        "SNAPSHOTTER_STALL_TIMEOUT",
        "30m",
        "give up on an origin that takes so long to list its refs or to begin a pack, or then sends below 1000 bytes/s",
    ),
    Setting("SNAPSHOTTER_ALLOW_HTTP", "0", "1 allows plain http to other machines, and to a loopback S3"),
    Setting("SNAPSHOTTER_CA_BUNDLE", "", "PEM file of the CAs to trust for https origins"),
    Setting("SNAPSHOTTER_SSH_COMMAND", "ssh", "the ssh client with its options"),
    Setting("SNAPSHOTTER_SSH_KEY", "", "private key for ssh origins, as text: for tasks", secret=True),
    Setting(
        "SNAPSHOTTER_SSH_KNOWN_HOSTS", "", "known_hosts for ssh origins, as text; no other host is then taken"
    ),
    Setting(
        "SNAPSHOTTER_GIT_TOKENS",
        "",
        'tokens, or GitHub Apps, by their host, in JSON: {"git.example.org": "TOKEN"}; over all others',
        secret=True,
    ),
    Setting(
        "SNAPSHOTTER_GIT_TOKEN",
        "",
        "token for any https origin, so for origins of one host; user:token names a user",
        secret=True,
    ),
    Setting(
        "SNAPSHOTTER_GIT_TOKEN_<HOST>",
        "",
        "token for one host, as ..._GITHUB_COM, a dash as __; over the general one",
        secret=True,
    ),
    Setting(
        "SNAPSHOTTER_GIT_TOKEN_COMMAND", "", "command that prints a fresh token; asked again after a 401"
    ),
    Setting("SNAPSHOTTER_GIT_USER", "x-access-token", "user that goes with a token"),
    Setting("SNAPSHOTTER_GIT_AUTH", "basic", "how tokens are sent: basic or bearer"),
    Setting(
        "SNAPSHOTTER_LFS",
        "all",
        "whose LFS objects snapshots take: all of history's, those of the tips' trees (tips), or none",
    ),
    Setting("SNAPSHOTTER_LFS_MAX_OBJECT", "64GiB", "snapshots leave out larger LFS objects"),
    Setting(
        "SNAPSHOTTER_LFS_HOSTS",
        "",
        "hosts, beside the origin's own, where a repository's .lfsconfig may say that its LFS objects are",
    ),
    Setting("SNAPSHOTTER_TEMP", "", "folder for verify's replay and for scans; empty for the system's"),
    Setting(
        "SNAPSHOTTER_VERIFY_TIMEOUT",
        "",
        "how long the proof of a snapshot or chain may take; empty: those of a repo, 15 s and 2 s a bundle and MiB",
    ),
    Setting("SNAPSHOTTER_SCAN", "1", "0 leaves the scan out of snapshots"),
    Setting(
        "SNAPSHOTTER_SCAN_EXCLUDE",
        "",
        "paths that scans leave out, as patterns separated by spaces; docs/ is a folder",
    ),
    Setting("SNAPSHOTTER_SCAN_MAX_FILE", "4MiB", "scans leave out larger files"),
    Setting("SNAPSHOTTER_SCAN_MAX_TOTAL", "1GiB", "scans read no more of one tree"),
    Setting("SNAPSHOTTER_SCAN_MAX_FILES", "100000", "scans read no more files of one tree"),
    Setting("SNAPSHOTTER_SCAN_TIMEOUT", "5m", "how long each scanner may run"),
    Setting(
        "SNAPSHOTTER_FINGERPRINT_KEY",
        "",
        "key of the fingerprints of leaked secrets: the same for all repositories",
        secret=True,
    ),
    Setting(
        "SNAPSHOTTER_RULE_CACHE",
        "",
        "folder of the secret scanner's compiled rules; empty for the user's cache",
    ),
    Setting("SNAPSHOTTER_CACHE", "", "folder for what `query` has read; empty for the user's cache folder"),
    Setting("SNAPSHOTTER_CACHE_SIZE", "2GiB", "what that folder may hold"),
    Setting("SNAPSHOTTER_QUERY_MEMORY", "1GiB", "memory that SQL may use"),
    Setting("SNAPSHOTTER_QUERY_TIMEOUT", "60s", "how long SQL may run"),
    Setting("SNAPSHOTTER_JOB_TIMEOUT", "24h", "how long `snapshotter job` may take in all"),
    Setting(
        "SNAPSHOTTER_JOB_ORIGINS",
        "8",
        "origins whose snapshots `snapshotter job` takes at once; 1 for one after the other",
    ),
    Setting(
        "SNAPSHOTTER_HOST_CONNECTIONS",
        "8",
        "connections that a fleet's run, or a job, has to one host at once",
    ),
    Setting(
        "SNAPSHOTTER_HOST_REQUESTS",
        "",
        "requests a second that a fleet's run sends to one host, evenly spaced; empty for any number",
    ),
    Setting(
        "SNAPSHOTTER_FLEET_MEMORY",
        "512MiB",
        "what each process of a fleet's run, or a job, may hold of packs and LFS objects: of each at once a segment, "
        "and one for each upload, or four for LFS objects",
    ),
    Setting(
        "SNAPSHOTTER_FLEET_SHRUNK",
        "50%",
        "the share by which a repository may shrink before its verdict is `shrunk`; 100% for any",
    ),
    Setting(
        "SNAPSHOTTER_FLEET_GAPS",
        "refs-lacking=0 refs-impossible=0 scan=0 scanner-failed=0 "
        "lfs-forbidden=0 lfs-over-quota=0 lfs-busy=0 lfs-unreachable=0 lfs-unsearched=0",
        "how many gaps of a kind (a number, or any) a snapshot may have before its verdict is `partial`; kinds that "
        "are not named keep these limits, others have none",
    ),
    Setting("SNAPSHOTTER_STALE_AFTER", "48h", "when a job counts an origin without a good snapshot as stale"),
    Setting(
        "SNAPSHOTTER_EXPIRY",
        "",
        "after what time the store's objects expire, like 396d: `list` and `show` then mark what cannot be restored, "
        "`verify` leaves it out",
    ),
    Setting(
        "SNAPSHOTTER_RETENTION",
        "",
        "for how long each snapshot must be restorable, like 365d; `doctor` refuses an expiry that leaves less",
    ),
    Setting(
        "SNAPSHOTTER_FLEET_PING",
        "",
        "URL that fleet runs ping as healthchecks.io takes it: /start, then itself or /fail",
        secret=True,
    ),
    Setting(
        "SNAPSHOTTER_FLEET_WEBHOOK",
        "",
        "URL that gets a JSON document when the results of a fleet run are stored",
        secret=True,
    ),
    Setting(
        "SNAPSHOTTER_FLEET_NOTIFY",
        "",
        "apprise's URLs, separated by spaces, that are told of fleet runs that ended badly; needs the extra notify",
        secret=True,
    ),
    Setting(
        "SNAPSHOTTER_FLEET_DIGEST",
        "7d",
        "how often these are sent a digest of what is stale, even if all is well",
    ),
    Setting("SNAPSHOTTER_SERVICE", "snapshotter", "the value of the dimension Service of a job's metrics"),
    Setting(
        "SNAPSHOTTER_CLUSTER_TLS",
        "",
        "certificates of a fleet's workers and scheduler, in JSON: ca, cert and key, each as PEM",
        secret=True,
    ),
    Setting(
        "SNAPSHOTTER_SERVICE_JOB",
        "",
        "the service's own job: another one does not measure which origins are stale",
    ),
    Setting(
        "SNAPSHOTTER_JOB",
        "",
        "the JSON document that `snapshotter job` carries out, or where it lies in the store",
    ),
)
DEFAULTS = {setting.name: setting.default for setting in SETTINGS}
