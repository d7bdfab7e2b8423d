"""Cameras, depth maps, affine alignment and point clouds. NumPy and OpenCV only."""
