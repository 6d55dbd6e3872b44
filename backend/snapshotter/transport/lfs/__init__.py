"""LFS objects of an origin: what its LFS server, or its own folder, gives for pointers.

Source: git-lfs's specification, docs/api/batch.md, basic-transfers.md and server-discovery.md.
"""
