"""Whole flows: real git origins, real stores, real processes."""
