"""Placeholders: Liquid templates over one contact."""

from caravan.journeys.placeholders.contact import ContactView
from caravan.journeys.placeholders.template import Template, compile_template

__all__ = ["ContactView", "Template", "compile_template"]
