"""Metrics for Prometheus, and pages that say whether the application is well."""

from __future__ import annotations

from .metrics import Metrics

__all__ = ["Metrics"]
