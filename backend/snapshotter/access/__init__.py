"""Proof by doing that the bucket's rules hold: probes, the policy test, and the owner's look at the settings.

    prove(Connection(boto3.Session()), Target("bucket", "repo-scans/snapshotter/"))

`object_probes` and `bucket_probes` hold the table of probes as data; `prove` runs it; `policy_test` is the short
test of the encryption header; `configuration` reads the bucket's settings. Nothing here prints.
"""
