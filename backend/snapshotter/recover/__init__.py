"""A snapshot becomes git again, and is proven."""
