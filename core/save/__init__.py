"""The save: what a script destroys, copied out under the lock before it runs, and put back by re-apply."""
