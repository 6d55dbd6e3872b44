"""Who we are on AWS, where it answers, and why it refused."""
