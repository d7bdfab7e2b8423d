"""Training a small MERGE from scratch: VAE, text-to-image backbone, then depth converters on the frozen backbone.

The node never imports this package. Each stage is one module with one command:

    python -m merge_ros.training.vae --data DIR --out DIR
    python -m merge_ros.training.light_codec --data DIR --out DIR
    python -m merge_ros.training.text_to_image --data DIR --out DIR
    python -m merge_ros.training.depth_converters --data DIR --out DIR
    python -m merge_ros.training.light_codec --data DIR --out DIR --refine --held-out DIR
    python -m merge_ros.training.train_tiny --out DIR                      (data and all stages)
"""
