"""Training converters for any frozen backbone that is known here: `merge-ros train` (docs/training.md)."""
