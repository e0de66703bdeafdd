"""Benchmarks: what a call costs, beside a bare client and beside other libraries. `python -m benches --help`."""
