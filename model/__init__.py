"""Pure decisions and the words everything else speaks: no I/O, no clock, safe in Temporal's sandbox."""
