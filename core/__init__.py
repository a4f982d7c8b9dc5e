"""The rollback itself: knows no Slack, no scheduler."""

__version__ = "0.1.0"
