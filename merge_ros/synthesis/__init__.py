"""Simulation assets from a picture with depth: a textured mesh, a collision body, and files for simulators.

A single view gives a 2.5-D shell: what the camera saw, open at the back. Knows no ROS and no torch.
"""
