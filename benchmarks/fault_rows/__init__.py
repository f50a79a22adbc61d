"""Rows of benchmarks/faults.py."""
