"""OpenVINO, kept from reporting its use: import it from here.

OpenVINO reports each import and each conversion to its maker where it can import the package
openvino-telemetry. This module hides that package from it.
"""

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino
import openvino.properties as properties
import openvino.properties.hint as hints

__all__ = ["hints", "openvino", "properties"]
