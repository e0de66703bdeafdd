"""The workflow and structured output on real models: `python -m benches.real`, or `make real`.

Not a part of CI: it needs minutes to hours, and its figures are those of one model on one server.
"""
