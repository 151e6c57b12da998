"""Pure: three sides in, one decision out. No network, no state, no clock, no terminal."""
