"""A run folder → one small self-contained page: verdict first, every finding beside its control, nothing loaded."""

from unflaw.report._collect import collect
from unflaw.report._harm import by_harm, excess, harmless, worse
from unflaw.report._page import render, to_html, to_markdown

__all__ = ["by_harm", "collect", "excess", "harmless", "render", "to_html", "to_markdown", "worse"]
