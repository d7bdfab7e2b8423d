"""The MERGE model: a frozen text-to-image transformer, its converters, sampling and checkpoints. Needs torch."""
