"""The verdict in the file of `--junit-xml`.

pytest has closed the entry of a test long before the session's verdict on it, and a second report of a test would become a
second entry. So the entry is kept, and changed. All of that is pytest's own affair and may change: then the file has a second
entry instead.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest


class Entries:
    """The entries of a JUnit file that is still to be written."""

    def __init__(self, config: pytest.Config) -> None:
        try:
            from _pytest.junitxml import xml_key

            self.plugin: Any = config.stash.get(xml_key, None)
        except ImportError:
            self.plugin = None
        self._entries: dict[str, Any] = {}

    def remember(self, report: pytest.TestReport) -> None:
        """Keeps the entry of a test, while it can be found."""
        # After the teardown the entry is closed, and asking would make another one.
        if report.when in ("setup", "call") and hasattr(self.plugin, "node_reporter"):
            self._entries[report.nodeid] = self.plugin.node_reporter(report)

    def tell(self, report: pytest.TestReport, properties: list[tuple[str, str]], failure: tuple[str, str] | None) -> bool:
        """Adds properties, and a failure where there is one. False where the entry cannot be changed."""
        entry = self._entries.get(report.nodeid)
        if entry is None:
            return False
        # A closed entry always gives the same element.
        element = entry.to_xml()
        if not isinstance(element, ElementTree.Element) or entry.to_xml() is not element:
            return False
        _add_properties(element, properties)
        if failure is not None:
            told = ElementTree.SubElement(element, "failure", message=_xml(failure[0]))
            told.text = _xml(failure[1])
            # The head of the file has how many went which way.
            stats = getattr(self.plugin, "stats", {})
            stats[report.outcome] = stats.get(report.outcome, 1) - 1
            stats["failure"] = stats.get("failure", 0) + 1
        return True

    def tell_of_all(self, name: str, value: str) -> None:
        """Adds a property of the whole session."""
        if hasattr(self.plugin, "add_global_property"):
            self.plugin.add_global_property(name, value)


def _add_properties(element: ElementTree.Element, properties: list[tuple[str, str]]) -> None:
    found = element.find("properties")
    if found is None:
        found = ElementTree.Element("properties")
        element.insert(0, found)
    for name, value in properties:
        ElementTree.SubElement(found, "property", name=name, value=_xml(value))


def _xml(text: str) -> str:
    """Without what XML cannot hold."""
    return "".join(
        character if character in "\t\n" or " " <= character < "\ufffe" else f"\\x{ord(character):02x}"
        for character in text
        if not "\ud800" <= character < "\ue000"
    )
