"""The protocol, without any input or output: pure state machines (see ``core``)."""

import pbactors.protocol.messages
import pbactors.protocol.tool_messages  # noqa: F401 - both, so that the registry is always whole
