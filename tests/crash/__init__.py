"""Bots that die at every boundary where something lasts: killed, frozen, cut off, out of disk. `make crash`."""
