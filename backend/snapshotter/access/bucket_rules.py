"""The rules that probes prove: what holds, the policy statement that makes it so, and the fix where it fails."""

from __future__ import annotations

from typing import NamedTuple

from snapshotter.base import runbook
from snapshotter.base.runbook import see

# The statements of infra/storage.yaml that answer, by their ids.
TLS = "DenyInsecureTransport"
WRONG_HEADER = "DenyWrongEncryptionHeader"
NO_HEADER = "DenyMissingEncryptionHeader"
OVERWRITE = "DenyOverwrite"
OUTSIDERS = "DenyObjectsToOutsiders"  # only with AllowedPrincipalArns; no row is about it
LIST = "ListUnderPrefix"
USE = "ReadAndWriteUnderPrefix"
NOBODY = ""  # no statement grants it

# What to do about a rule that does not hold.
POLICY = f"put the bucket policy of infra/storage.yaml back {see(runbook.PUT_DENIED)}"
TLS_POLICY = f"put the bucket policy of infra/storage.yaml back {see(runbook.PLAIN_HTTP)}"
LIST_CONDITION = f"put the condition on s3:prefix back on the permission to list {see(runbook.MISSING_KEY)}"
GRANT = f"attach the access policy of infra/storage.yaml to this identity {see(runbook.PUT_DENIED)}"
GRANT_LIST = f"attach the access policy of infra/storage.yaml to this identity {see(runbook.LIST_DENIED)}"
NARROW = (
    "remove the grant: compare the access policy and whatever else is attached to this identity with "
    f"infra/storage.yaml {see(runbook.NEVER_GRANTED)}"
)
SHUT = f"turn Block Public Access on, and remove every Allow from the bucket policy {see(runbook.PUBLIC)}"
LOCK = "give the bucket its lock back: ObjectLockDays of infra/storage.yaml (docs/aws.md, 'Object Lock')"
NOT_THIS_SERVER = "the server does not know If-None-Match: do not store snapshots in it"


class Rule(NamedTuple):
    """One promise of the policies, the id of the statement that keeps it, and the fix where it is broken."""

    says: str
    statement: str
    fix: str


def granted(says: str) -> Rule:
    """A use of objects under the prefix that the access policy grants."""
    return Rule(says, USE, GRANT)


def listed(says: str) -> Rule:
    """A list that the access policy grants."""
    return Rule(says, LIST, GRANT_LIST)


def ungranted(says: str) -> Rule:
    """Something that no statement grants to anybody."""
    return Rule(says, NOBODY, NARROW)


_ONLY_AES256 = "every upload names AES256 and nothing else"
_EVERYWHERE = "what holds in the test folder holds under the whole prefix"
_WHY_403 = "a missing key answers 403: listing needs a prefix, which GET does not carry"
_WRITE_ONCE = "overwriting is allowed by IAM, and refused only with EnforceWriteOnce"

# Encryption.
HEADER_REQUIRED = Rule(_ONLY_AES256, NO_HEADER, POLICY)
HEADER_RIGHT = Rule(_ONLY_AES256, WRONG_HEADER, POLICY)
ONLY_TLS = Rule("everything is encrypted on its way", TLS, TLS_POLICY)

# The prefix.
WRITE_INSIDE = Rule("nobody writes outside the prefix", USE, NARROW)
SLASH = Rule("the prefix ends with its slash", USE, NARROW)
DOTS = Rule("a key is compared as it is written: .. leads nowhere", USE, NARROW)
READ_INSIDE = Rule("nobody reads outside the prefix", USE, NARROW)
LIST_INSIDE = Rule("nobody lists without the prefix", LIST, NARROW)
MISSING_KEY = Rule(_WHY_403, LIST, LIST_CONDITION)

# The prefix beside the folder of the tests.
WRITE_EVERYWHERE = granted(_EVERYWHERE)
LIST_EVERYWHERE = listed(_EVERYWHERE)
REQUIRED_EVERYWHERE = Rule(_EVERYWHERE, NO_HEADER, POLICY)
RIGHT_EVERYWHERE = Rule(_EVERYWHERE, WRONG_HEADER, POLICY)
TLS_EVERYWHERE = Rule(_EVERYWHERE, TLS, TLS_POLICY)

# What objects may be used for.
WRITE = granted("an upload with AES256 under the prefix passes")
READ = granted("what is under the prefix can be read")
LIST_PREFIX = listed("the prefix can be listed")
LIST_FOLDERS = listed("folders under the prefix can be listed")
TAG_UPLOADS = granted("uploads can carry tags")
TAG_OBJECTS = granted("objects can be tagged")
START_UPLOAD = granted("other tools' large uploads can start")
OWN_PARTS = granted("parts of one's own upload can be listed")
SEND_PART = Rule(
    "s3:PutObject covers the start, the parts and the end of an upload; parts cannot carry the header",
    NO_HEADER,
    GRANT,
)
GIVE_UP = granted("an upload can be given up")
CREATE_ONLY = Rule("create-only never overwrites", USE, NOT_THIS_SERVER)
WRITE_ONCE = Rule(_WRITE_ONCE, OVERWRITE, GRANT)

# What nobody may do.
NO_DELETE = ungranted("nobody deletes")
LOCKED = Rule("what is locked is not deleted, and its lock is not shortened", NOBODY, LOCK)
NO_BYPASS = ungranted("nobody gets around a lock")
NO_ACL = ungranted("ACLs are off")
OLD_VERSIONS = ungranted("nobody reads old versions")
LIST_VERSIONS = ungranted("nobody lists versions")
LIST_UPLOADS = ungranted("nobody lists unfinished uploads")
READ_TAGS = ungranted("nobody reads tags")
REMOVE_TAGS = ungranted("nobody removes tags")
READ_ACLS = ungranted("nobody reads ACLs")
SEE_SETTINGS = ungranted("nobody sees the bucket's settings")
CHANGE_SETTINGS = ungranted("nobody changes the bucket's settings")
HEAD_BUCKET = Rule("nobody asks for the bucket itself: it is a list without a prefix", LIST, NARROW)
LIST_BUCKETS = ungranted("nobody lists buckets")
NO_PUBLIC = Rule("nothing is public", NOBODY, SHUT)
