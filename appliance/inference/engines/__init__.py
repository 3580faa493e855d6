"""The engines: one module per model runtime, each imported only inside the child process that runs it."""
