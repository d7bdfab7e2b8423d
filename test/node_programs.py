"""Depth nodes that several tests start with another model in its place, as code for `start_node`."""

# The real node; its model knows the truth that the test has painted into the picture: relative depth in red and green.
KNOWING_NODE = """
import sys
import numpy as np
from merge_ros.ros import depth_node

class KnowingEstimator:
    description = "relative depth as painted"
    def __init__(self, settings): pass
    def __call__(self, rgb):
        return (256.0 * rgb[..., 0] + rgb[..., 1]).astype(np.float32) / 65535
    def warm_up(self, width, height): pass
    def close(self): pass

depth_node.DepthEstimator = KnowingEstimator
sys.exit(depth_node.main())
"""
# The real node with the real model, which fails on purpose on a black image.
FRAGILE_NODE = """
import sys
from merge_ros.ros import depth_node

class FragileEstimator(depth_node.DepthEstimator):
    def __call__(self, rgb):
        if not rgb.any():
            raise RuntimeError("black image")
        return super().__call__(rgb)

depth_node.DepthEstimator = FragileEstimator
sys.exit(depth_node.main())
"""
