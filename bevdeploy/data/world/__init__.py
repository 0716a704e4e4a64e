"""A made-up world of streets, driven through and recorded as nuScenes records: `bevdeploy data synth`."""

from bevdeploy.data.world.options import WorldOptions as WorldOptions
from bevdeploy.data.world.synth import WorldSummary as WorldSummary
from bevdeploy.data.world.synth import write_world as write_world

__all__ = ["WorldOptions", "WorldSummary", "write_world"]
