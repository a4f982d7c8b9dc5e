"""How a backup is taken and put back. One strategy today: pg_dump's custom format of the whole database."""
