"""The ports made real: each module here is the only one that knows its third party."""
