"""What is kept and how it is found: docs/format.md in code."""
