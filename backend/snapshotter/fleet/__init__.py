"""Many origins, and the job that a service runs."""
