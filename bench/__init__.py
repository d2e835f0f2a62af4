"""Measures Wirework and its peers side by side; `scripts/bench` runs it."""
