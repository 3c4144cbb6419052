"""Targets as they are written on the command line."""

import os
import shlex
from collections.abc import Iterable

from ...errors import TsvadError
from .command import Command
from .mqtt import Mqtt
from .target import Target
from .webhook import Webhook

WEBHOOK_KEY = "TSVAD_WEBHOOK_KEY"
MQTT_LOGIN = "TSVAD_MQTT_LOGIN"


def target_of(text: str, cameras: Iterable[str]) -> Target:
    """The target that ``http(s)://…``, ``mqtt(s)://…`` or ``exec:PROGRAM ARGUMENT …`` means, not opened yet.

    Webhooks are signed with TSVAD_WEBHOOK_KEY of the environment, if it has one; a broker's login may be in
    TSVAD_MQTT_LOGIN as USER:PASSWORD. TsvadError, without secrets, for anything else.
    """
    kind = text.partition(":")[0].lower()
    if kind in ("http", "https"):
        return Webhook(text, os.environ.get(WEBHOOK_KEY) or None)
    if kind in ("mqtt", "mqtts"):
        return Mqtt(text, cameras, os.environ.get(MQTT_LOGIN))
    if kind == "exec":
        try:
            return Command(shlex.split(text.partition(":")[2]))
        except ValueError as error:
            if isinstance(error, TsvadError):
                raise
            raise TsvadError("exec:…: a quotation mark is not closed; write exec:PROGRAM 'AN ARGUMENT' …") from None
    raise TsvadError("alerts go to http://…, https://…, mqtt://…, mqtts://… or exec:PROGRAM; the target given is none")
