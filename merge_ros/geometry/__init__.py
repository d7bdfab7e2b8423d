"""Cameras, depth maps, affine alignment and point clouds. NumPy only."""
