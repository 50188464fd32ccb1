"""A provider on loopback in all three dialects: a test bed, a rehearsal and the offline default of sample jobs.

It is written from the vendors' documents and shares no code with the rest of the package, so that a misreading on one
side cannot hide behind the same misreading on the other.
"""

from pipeline.simulator.script import ScriptError, load_script, read_script
from pipeline.simulator.server import Simulator, serve

__all__ = ["ScriptError", "Simulator", "load_script", "read_script", "serve"]
