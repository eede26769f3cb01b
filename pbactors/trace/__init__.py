"""What happened in a run, moment by moment: recorded, written, told as text, drawn as a page."""

from pbactors.trace.messages import describe, status_fields
from pbactors.trace.moments import Moment, Sort, Trace

__all__ = ["Moment", "Sort", "Trace", "describe", "status_fields"]
