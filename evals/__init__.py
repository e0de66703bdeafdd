"""The workflow beside simpler ways to ask, for anyone with a key. See README.md."""
