"""Operations as deterministic workflows: one file an operation, read as the list of its steps."""
