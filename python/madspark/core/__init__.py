"""The workflow: `async_coordinator`, and `coordinator` for synchronous code."""
