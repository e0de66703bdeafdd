"""What callers of the workflow use beside it."""
