"""Synthetic market days that look real, made on the spot, so that nobody needs a vendor to start."""

from backtape.sample.make import SampleReport, make_sample
from backtape.sample.outages import Outage

__all__ = ["Outage", "SampleReport", "make_sample"]
