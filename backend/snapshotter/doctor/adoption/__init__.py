"""What applying infra/storage.yaml to a bucket in use would take away. Nothing is written."""
