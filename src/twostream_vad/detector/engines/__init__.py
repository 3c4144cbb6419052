"""Engines: what computes the nets."""
