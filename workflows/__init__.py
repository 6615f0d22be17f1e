"""The operations: deterministic workflows, one file each, whose run method reads as the list of its steps."""
