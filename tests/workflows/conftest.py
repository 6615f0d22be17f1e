"""What tests of workflows call the world they play in; the fixtures are shared with the tests of failures."""

from in_memory import World

__all__ = ["World"]
