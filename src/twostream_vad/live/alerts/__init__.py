"""Alerts: targets that events are told to, and couriers that deliver."""
