"""Whole flows over several packages: real git origins, real stores, real processes."""
