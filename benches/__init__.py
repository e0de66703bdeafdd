"""Benchmarks: the cost of a call, compared with a minimal client and other libraries. `python -m benches --help`."""
