"""The command `madspark`."""
