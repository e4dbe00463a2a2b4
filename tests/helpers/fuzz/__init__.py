"""A fuzzer of every reader of files: hostile inputs are returned or refused, and nothing else."""
