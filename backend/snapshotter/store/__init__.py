"""The port to objects: a folder, memory or S3."""
