"""OpenVINO, kept from reporting its use: import it from here.

Each import of it sends an event to a host of its maker's, as does each conversion, if the package
openvino-telemetry can be imported; if not, it goes without.
"""

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

import openvino
import openvino.properties as properties
import openvino.properties.hint as hints

__all__ = ["hints", "openvino", "properties"]
