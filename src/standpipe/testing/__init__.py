"""Tests of pipelines: what the fixture `standpipe` of the pytest plugin is made of. Nothing here needs pytest."""

from __future__ import annotations

from standpipe.testing.finished_run import FinishedRun
from standpipe.testing.network import NetworkBlocked
from standpipe.testing.tester import PipelineTester

__all__ = ["FinishedRun", "NetworkBlocked", "PipelineTester"]
