"""bevdeploy: from a distilled camera-only BEV student to a verified engine in a car.

The root holds the version and the errors; every room lists its own public names.
"""

from bevdeploy.errors import BevDeployError as BevDeployError

__version__ = "0.1.0"

__all__ = ["BevDeployError", "__version__"]
