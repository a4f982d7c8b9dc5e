"""The line of a key is found where tomllib does not tell it."""

from __future__ import annotations

import tomllib

from core import toml_lines

TRICKY = '''
a = 1  # b = 2
[t.'odd key']
x = """
[not.a.table]
y = 1
"""
p.q . "r s" = ['[', "}", [ # ] z = 3
  "end"]]
inline = { one = 1, two = "}" }
last = \'\'\'it''s \\\'\'\'
[[many]]
k = 2020-01-01 10:00:00
'''


def test_the_line_of_a_key_is_found_in_any_toml() -> None:
    found = toml_lines.lines(TRICKY)
    assert tomllib.loads(TRICKY)["t"]["odd key"]["p"]["q"]["r s"]
    expected = {("a",): 2, ("t", "odd key"): 3, ("t", "odd key", "x"): 4, ("t", "odd key", "p", "q", "r s"): 8}
    expected |= {("t", "odd key", "inline"): 10, ("t", "odd key", "last"): 11, ("many",): 12, ("many", "k"): 13}
    assert {path: found[path] for path in expected} == expected
    assert len(found) == len(expected) + 3
    assert toml_lines.line_of(found, ("t", "odd key", "inline", "two")) == 10
