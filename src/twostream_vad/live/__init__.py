"""Cameras: streams in, events out."""
