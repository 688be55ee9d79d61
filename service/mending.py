"""What a user can mend, and the sentence that says so: for every command and for workers."""

from model.errors import ModelError
from service.errors import ServiceError

# What a user can mend; anything else is a fault of the program, and shows its traceback.
MENDABLE = (ModelError, ServiceError, OSError)


def sentence(error: Exception) -> str:
    """What to tell the user of one of MENDABLE: its text, and the field or file at fault."""
    match error:
        case ServiceError(field=str(field)) if field not in str(error):
            return f"{field}: {error}"
        case OSError(strerror=str(reason), filename=str(name)):
            return f"{name}: {reason}"
    return str(error)
