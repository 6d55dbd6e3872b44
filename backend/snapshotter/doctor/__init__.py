"""Preflight: what is in the way of a snapshot."""
