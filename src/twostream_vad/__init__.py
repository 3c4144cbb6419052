"""Two-stream video anomaly detection."""
