"""A target that is an MQTT broker, and through it Home Assistant."""

import contextlib
import hashlib
import json
import re
import ssl
import sys
import threading
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ...errors import TsvadError
from ..events import ANOMALY, Message
from . import url as urls
from .target import Target, Undelivered

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage, MQTTMessageInfo
    from paho.mqtt.reasoncodes import ReasonCode

PORTS = {"mqtt": 1883, "mqtts": 8883}
NAME = re.compile(r"[\w-]{1,64}")  # a level of a topic: no + # /
HOME = "homeassistant"  # where Home Assistant looks for devices, and says that it has started
KEEPALIVE = 30  # seconds
RECONNECT = (1, 60)  # seconds until the next connection: from, to
WAIT = 10.0  # seconds for a connection, and as many for the broker's word that it has a message
QUEUED = 100  # messages without that word, beyond those that introduce us
LAST = 0.5  # seconds to say goodbye


class Mqtt(Target):
    """Publishes at ``mqtt://[USER:PASSWORD@]HOST[:PORT][/PREFIX]`` or mqtts://; the prefix is tsvad unless given.

    ``PREFIX/available`` is online or offline. Of each camera, ``PREFIX/CAMERA/event`` is the event's JSON with its
    phase, ``…/anomaly`` ON or OFF, and ``…/picture`` a JPEG; all but the events are retained. ``login`` is
    ``USER:PASSWORD`` where the URL has none. TsvadError where URL or login is none.
    """

    def __init__(self, url: str, cameras: Iterable[str], login: str | None = None) -> None:
        parts = urls.split(url)
        self.name = urls.shown(parts)
        self._prefix = parts.path.strip("/") or "tsvad"
        if not NAME.fullmatch(self._prefix):
            raise TsvadError(f"{self.name}: a prefix is one word of letters, digits, _ and -; write mqtt://HOST/PREFIX")
        self._host, self._port = parts.hostname or "", parts.port or PORTS[parts.scheme]
        self._trusted = ssl.create_default_context() if parts.scheme == "mqtts" else None
        self._login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else _login(login)
        self._cameras = tuple(cameras)
        self._going_on: dict[str, frozenset[str]] = dict.fromkeys(self._cameras, frozenset())  # keys of events
        self._connected, self._why, self._closed = threading.Event(), "no connection yet", False
        self._turn = threading.Lock()  # to come and to go
        self._client: Client | None = None

    def open(self) -> None:
        """Connects in the background, again whenever the connection is lost."""
        from paho.mqtt.client import Client
        from paho.mqtt.enums import CallbackAPIVersion

        client = self._client = Client(CallbackAPIVersion.VERSION2)
        client.suppress_exceptions = True  # else one in what follows would end its thread
        client.on_connect, client.on_connect_fail = self._on_connect, self._on_connect_fail
        client.on_disconnect, client.on_message = self._on_disconnect, self._on_message
        client.will_set(f"{self._prefix}/available", "offline", qos=1, retain=True)
        client.max_queued_messages_set(QUEUED + 3 * len(self._cameras))
        client.reconnect_delay_set(*RECONNECT)
        if self._login is not None:
            client.username_pw_set(*self._login)
        if self._trusted is not None:
            client.tls_set_context(self._trusted)
        client.connect_async(self._host, self._port, KEEPALIVE)
        client.loop_start()

    def deliver(self, message: Message) -> None:
        """An event as it begins, its picture, then ON; as it ends, then OFF. Undelivered unless the broker has all.

        A camera is ON while any of its anomalies goes on; its trouble and its drift are events alone.
        """
        if not self._connected.wait(WAIT):
            raise Undelivered(self._why)
        camera, own = message.event["camera"], {message.key}
        topic = f"{self._prefix}/{camera}"
        event = json.dumps({**message.event, "phase": message.phase})
        told = [self._publish(f"{topic}/event", event, retain=False)]
        if message.phase == "begun" and message.picture is not None:
            told.append(self._publish(f"{topic}/picture", message.picture))
        if message.event.get("kind", ANOMALY) == ANOMALY:
            before = self._going_on.get(camera, frozenset())
            self._going_on[camera] = before | own if message.phase == "begun" else before - own
            told.append(self._publish(f"{topic}/anomaly", self._state(camera)))
        until = time.monotonic() + WAIT
        for each in told:
            if not _acknowledged(each, until - time.monotonic()):
                raise Undelivered("the broker has not said that it has the message")

    def close(self) -> None:
        """Says that we are offline, and disconnects."""
        with self._turn:
            self._closed = True
        if self._client is None:
            return
        if self._connected.is_set():
            _acknowledged(self._publish(f"{self._prefix}/available", "offline"), LAST)
        self._client.disconnect()
        ending = threading.Thread(target=self._client.loop_stop, daemon=True)  # waits while it connects
        ending.start()
        ending.join(LAST)

    def _state(self, camera: str) -> str:
        return "ON" if self._going_on[camera] else "OFF"

    def _publish(self, topic: str, payload: str | bytes, *, retain: bool = True) -> "MQTTMessageInfo":
        assert self._client is not None
        return self._client.publish(topic, payload, qos=1, retain=retain)

    def _on_connect(
        self, client: "Client", _data: Any, _flags: "ConnectFlags", code: "ReasonCode", _properties: Any
    ) -> None:
        if code.is_failure:
            self._why = f"the broker refuses us: {code}"
            return
        with self._turn:
            if self._closed:
                client.disconnect()
                return
            client.subscribe(f"{HOME}/status", qos=1)
            self._introduce()
            for camera in self._cameras:  # a broker that was started anew may have forgotten
                self._publish(f"{self._prefix}/{camera}/anomaly", self._state(camera))
            self._publish(f"{self._prefix}/available", "online")
            self._connected.set()

    def _on_connect_fail(self, _client: "Client", _data: Any) -> None:
        self._why = f"no connection to the broker: {sys.exc_info()[1]}"

    def _on_disconnect(
        self, _client: "Client", _data: Any, _flags: "DisconnectFlags", _code: "ReasonCode", _properties: Any
    ) -> None:
        if self._connected.is_set():
            self._why = "the connection to the broker is lost"
        self._connected.clear()

    def _on_message(self, _client: "Client", _data: Any, message: "MQTTMessage") -> None:
        if message.payload == b"online":
            self._introduce()

    def _introduce(self) -> None:
        for camera in self._cameras:
            for topic, entity in introductions(self._prefix, camera).items():
                self._publish(topic, json.dumps(entity))


def introductions(prefix: str, camera: str) -> dict[str, dict[str, Any]]:
    """Topic → what makes Home Assistant show a camera: one device with a binary sensor and a picture.

    The sensor is a "problem", on while something is unlike normal: "motion" would be on whenever anything moves,
    "safety" says that somebody is in danger, which nobody has found out.
    """
    own = _ascii(f"{prefix}_{camera}")
    common = {
        "availability_topic": f"{prefix}/available",
        "device": {"identifiers": [own], "name": camera, "model": "tsvad"},
        "origin": {"name": "tsvad"},
    }
    topic = f"{prefix}/{camera}"
    sensor = {
        "name": "Anomaly",
        "unique_id": f"{own}_anomaly",
        "device_class": "problem",
        "state_topic": f"{topic}/anomaly",
        "json_attributes_topic": f"{topic}/event",
    }
    picture = {"name": "Last anomaly", "unique_id": f"{own}_picture", "image_topic": f"{topic}/picture"}
    return {
        f"{HOME}/binary_sensor/{own}/anomaly/config": sensor | common,
        f"{HOME}/image/{own}/picture/config": picture | common,
    }


def _ascii(name: str) -> str:
    """A name in the letters that Home Assistant takes, and of its own still."""
    plain = re.sub(r"[^a-zA-Z0-9_-]", "_", name)
    return plain if plain == name else f"{plain}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _acknowledged(info: "MQTTMessageInfo", seconds: float) -> bool:
    with contextlib.suppress(ValueError, RuntimeError):  # there were too many; the connection was lost just now
        info.wait_for_publish(max(seconds, 0.0))
        return info.is_published()
    return False


def _login(given: str | None) -> tuple[str, str] | None:
    if not given:
        return None
    user, colon, password = given.partition(":")
    if not (user and colon):
        raise TsvadError("TSVAD_MQTT_LOGIN: has no login; write USER:PASSWORD")
    return user, password
