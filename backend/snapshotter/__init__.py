"""Fruitful Snapshotter: point-in-time snapshots of git repositories, without a clone."""

__version__ = "0.1.0"
