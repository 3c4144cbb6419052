"""MQTT: against mosquitto on loopback, as somebody who listens to the broker sees it."""

import json
import random
import re
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from twostream_vad.live.alerts import mqtt
from twostream_vad.live.alerts.courier import Courier
from twostream_vad.live.alerts.mqtt import Mqtt, introductions
from twostream_vad.live.alerts.target import Undelivered

from .conftest import Memory, message, until

MOSQUITTO = shutil.which("mosquitto", path="/usr/sbin:/usr/local/sbin:/opt/homebrew/sbin:/usr/bin:/usr/local/bin")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="mosquitto, the MQTT broker, is not installed")
PICTURE = b"\xff\xd8 a picture \xff\xd9"


class Broker:
    """A mosquitto that forgets all when it is stopped."""

    def __init__(self, folder: Path, anonymous: str) -> None:
        self._file, self._anonymous = folder / "mosquitto.conf", anonymous
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0
        while not self.port:
            self.start(random.randrange(20_000, 32_000))  # below those that the system gives to connections

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def start(self, port: int) -> None:
        """On this port, where it is free."""
        assert MOSQUITTO is not None
        self._file.write_text(
            f"listener {port} 127.0.0.1\nallow_anonymous {self._anonymous}\npersistence false\nlog_dest none\n"
        )
        self._process = process = subprocess.Popen([MOSQUITTO, "-c", str(self._file)], stderr=subprocess.DEVNULL)
        until(lambda: process.poll() is not None or answers(port))
        self.port = 0 if process.poll() is not None else port

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        self._process.wait()


def answers(port: int) -> bool:
    with socket.socket() as trial:
        return trial.connect_ex(("127.0.0.1", port)) == 0


class Listener:
    """Whatever a broker says from now on, and what it has retained: topic, payload, whether it was retained."""

    def __init__(self, broker: Broker) -> None:
        self.heard: list[tuple[str, bytes, bool]] = []
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.on_message = self._hear
        ready = threading.Event()
        self._client.on_subscribe = lambda *_: ready.set()
        self._client.connect("127.0.0.1", broker.port)
        self._client.subscribe("#", qos=1)
        self._client.loop_start()
        assert ready.wait(20)

    def _hear(self, _client: Client, _data: Any, message: MQTTMessage) -> None:
        self.heard.append((message.topic, bytes(message.payload), message.retain))

    def of(self, topic: str) -> list[bytes]:
        return [payload for each, payload, _ in list(self.heard) if each == topic]

    def retained(self) -> dict[str, bytes]:
        return {topic: payload for topic, payload, retained in list(self.heard) if retained}

    def publish(self, topic: str, payload: bytes) -> None:
        self._client.publish(topic, payload, qos=1)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Broker]:
    started = Broker(tmp_path, getattr(request, "param", "true"))
    yield started
    started.stop()


@pytest.fixture
def listen(broker: Broker) -> Iterator[Callable[[], Listener]]:
    """Listens to the broker."""
    listeners: list[Listener] = []

    def start() -> Listener:
        listeners.append(Listener(broker))
        return listeners[-1]

    yield start
    for each in listeners:
        each.close()


Connect = Callable[..., Mqtt]


@pytest.fixture
def connect() -> Iterator[Connect]:
    """Opens targets, and closes them."""
    targets: list[Mqtt] = []

    def start(url: str, *cameras: str, login: str | None = None) -> Mqtt:
        targets.append(Mqtt(url, cameras, login))
        targets[-1].open()
        return targets[-1]

    yield start
    for each in targets:
        each.close()


@needs_mosquitto
def test_trouble_is_told_and_is_no_anomaly(broker: Broker, listen: Callable[[], Listener], connect: Connect) -> None:
    listener, told = listen(), message(1)
    target = connect(broker.url, "gate")
    for phase in ("begun", "ended"):
        target.deliver(replace(told, phase=phase, event={**told.event, "kind": "covered"}))
    target.deliver(message(2))
    until(lambda: listener.of("tsvad/gate/anomaly") == [b"OFF", b"ON"])
    kinds = [json.loads(event).get("kind") for event in listener.of("tsvad/gate/event")]
    assert kinds == ["covered", "covered", None]


@needs_mosquitto
def test_an_event_is_told_then_its_picture_then_that_it_is_on(
    broker: Broker, listen: Callable[[], Listener], connect: Connect
) -> None:
    listener, told = listen(), message(1)
    target = connect(broker.url, "gate")
    target.deliver(told)
    target.deliver(message(2, "ended", key=told.key))
    until(lambda: listener.of("tsvad/gate/anomaly") == [b"OFF", b"ON", b"OFF"])
    of_gate = [topic.removeprefix("tsvad/gate/") for topic, *_ in listener.heard if topic.startswith("tsvad/gate/")]
    assert of_gate == ["anomaly", "event", "picture", "anomaly", "event", "anomaly"]
    begun, _ = (json.loads(event) for event in listener.of("tsvad/gate/event"))
    assert begun == {**told.event, "phase": "begun"}


@needs_mosquitto
def test_state_and_picture_are_retained_and_events_are_not(
    broker: Broker, listen: Callable[[], Listener], connect: Connect
) -> None:
    connect(broker.url, "gate", "door").deliver(message(1))
    late = listen()
    until(lambda: len(late.heard) >= 8)
    of_ours = {topic: payload for topic, payload in late.retained().items() if topic.startswith("tsvad/")}
    assert of_ours == {
        "tsvad/available": b"online",
        "tsvad/gate/anomaly": b"ON",
        "tsvad/gate/picture": PICTURE,
        "tsvad/door/anomaly": b"OFF",
    }


@needs_mosquitto
def test_a_camera_is_on_while_any_of_its_events_goes_on(
    broker: Broker, listen: Callable[[], Listener], connect: Connect
) -> None:
    listener, target = listen(), connect(broker.url, "gate")
    target.deliver(message(1))
    target.deliver(message(2))
    target.deliver(message(3, "ended", key="gate-1"))
    target.deliver(message(4, "ended", key="gate-2"))
    until(lambda: listener.of("tsvad/gate/anomaly") == [b"OFF", b"ON", b"ON", b"ON", b"OFF"])


@needs_mosquitto
def test_home_assistant_is_told_of_every_camera_and_of_topics_that_are_used(
    broker: Broker, listen: Callable[[], Listener], connect: Connect
) -> None:
    listener = listen()
    connect(f"{broker.url}/house", "gate").deliver(message(1))
    late = listen()
    until(lambda: len(late.retained()) == 5)
    found = {topic: json.loads(payload) for topic, payload in late.retained().items() if "homeassistant" in topic}
    assert set(found) == {
        "homeassistant/binary_sensor/house_gate/anomaly/config",
        "homeassistant/image/house_gate/picture/config",
    }
    named = {value for entity in found.values() for name, value in entity.items() if name.endswith("_topic")}
    until(lambda: named == {topic for topic, *_ in list(listener.heard) if topic.startswith("house/")})
    assert [entity["device"]["name"] for entity in found.values()] == ["gate", "gate"]


def test_home_assistant_gets_its_own_letters_only_and_every_camera_a_name_of_its_own() -> None:
    cameras = ["gate", "küche", "kuche", "k_che", "кухня", "a-b"]
    entities = {topic: entity for camera in cameras for topic, entity in introductions("tsvad", camera).items()}
    assert len(entities) == len({entity["unique_id"] for entity in entities.values()}) == 2 * len(cameras)
    allowed = re.compile(r"homeassistant/(binary_sensor|image)/[a-zA-Z0-9_-]+/[a-zA-Z0-9_-]+/config", re.ASCII)
    assert [topic for topic in entities if not allowed.fullmatch(topic)] == []


@needs_mosquitto
def test_home_assistant_is_told_again_when_it_has_started(
    broker: Broker, listen: Callable[[], Listener], connect: Connect
) -> None:
    listener = listen()
    connect(broker.url, "gate")
    topic = "homeassistant/image/tsvad_gate/picture/config"
    until(lambda: listener.of("tsvad/available") == [b"online"])
    assert len(listener.of(topic)) == 1
    listener.publish("homeassistant/status", b"offline")
    listener.publish("homeassistant/status", b"online")
    until(lambda: len(listener.of(topic)) == 2)


@needs_mosquitto
def test_closing_says_that_we_are_offline(broker: Broker, listen: Callable[[], Listener], connect: Connect) -> None:
    target = connect(broker.url, "gate")
    target.deliver(message(1))
    target.close()
    late = listen()
    until(lambda: late.retained().get("tsvad/available") == b"offline")


@needs_mosquitto
def test_the_broker_says_that_we_are_offline_when_we_are_killed(broker: Broker, listen: Callable[[], Listener]) -> None:
    listener = listen()
    code = "import sys; from twostream_vad.live.alerts.mqtt import Mqtt; Mqtt(sys.argv[1], ['gate']).open(); input()"
    with subprocess.Popen([sys.executable, "-c", code, broker.url], stdin=subprocess.PIPE) as process:
        until(lambda: listener.of("tsvad/available") == [b"online"])
        process.kill()
    until(lambda: listener.of("tsvad/available") == [b"online", b"offline"])


@needs_mosquitto
def test_what_waited_while_the_broker_was_away_is_delivered_and_all_is_told_anew(
    broker: Broker, listen: Callable[[], Listener], monkeypatch: pytest.MonkeyPatch
) -> None:
    outbox = Memory(message(1))
    target = Mqtt(broker.url, ["gate", "door"])
    courier = Courier(target, outbox)
    until(lambda: outbox.empty)
    broker.stop()
    until(lambda: not target._connected.is_set())
    monkeypatch.setattr(mqtt, "WAIT", 0.2)
    outbox.put(message(2))
    courier.wake()
    until(lambda: courier.failed)
    assert re.search("connection to the broker", courier.trouble)
    monkeypatch.setattr(mqtt, "WAIT", 20.0)
    broker.start(broker.port)
    assert broker.port
    until(lambda: outbox.empty)
    late = listen()
    until(lambda: len(late.retained()) == 8)
    assert len([topic for topic in late.retained() if topic.endswith("/config")]) == 4
    assert late.retained()["tsvad/available"] == b"online"
    assert late.retained()["tsvad/gate/anomaly"] == b"ON"
    assert late.retained()["tsvad/door/anomaly"] == b"OFF"
    courier.close()


@needs_mosquitto
@pytest.mark.parametrize("broker", ["false"], indirect=True)
def test_a_broker_that_refuses_us_is_said_without_the_login(
    broker: Broker, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = connect(broker.url, "gate", login="guard:geheim")
    until(lambda: "refuses" in target._why)
    monkeypatch.setattr(mqtt, "WAIT", 0.01)
    with pytest.raises(Undelivered, match=r"^the broker refuses us: Not authorized$") as refused:
        target.deliver(message(1))
    assert not refused.value.message_only


def test_no_broker_is_said(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        target = connect(f"mqtt://guard:geheim@127.0.0.1:{taken.getsockname()[1]}", "gate")
        until(lambda: "refused" in target._why)
        monkeypatch.setattr(mqtt, "WAIT", 0.01)
        with pytest.raises(Undelivered, match=r"^no connection to the broker: .*refused"):
            target.deliver(message(1))


def test_a_message_that_the_broker_has_not_acknowledged_is_not_delivered(
    connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def welcome() -> None:
            connection, _ = server.accept()
            with connection:
                connection.sendall(b"\x20\x02\x00\x00")  # CONNACK, and never a PUBACK
                while connection.recv(65536):
                    pass

        thread = threading.Thread(target=welcome)
        thread.start()
        target = connect(f"mqtt://127.0.0.1:{server.getsockname()[1]}", "gate")
        assert target._connected.wait(20)
        monkeypatch.setattr(mqtt, "WAIT", 0.2)
        with pytest.raises(Undelivered, match=r"^the broker has not said that it has the message$"):
            target.deliver(message(1))
        target.close()
        thread.join(20)
        assert not thread.is_alive()
