"""Simulated indoor scenes that know the truth: images with exact depth, camera pose and a caption, by seed.

Needs MuJoCo (extra `sim`) and an OpenGL library for off-screen rendering; no ROS and no torch.
"""
