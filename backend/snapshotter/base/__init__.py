"""The ground: errors, text, settings, cancellation; imports nothing of ours."""
