"""The `merge-ros` command: one module per verb."""
