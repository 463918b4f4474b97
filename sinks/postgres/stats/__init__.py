"""Figures for metrics, `bridge top` and the doctor."""
