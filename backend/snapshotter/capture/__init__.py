"""An origin becomes a snapshot."""
