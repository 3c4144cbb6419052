"""A real RTSP server for tests and benches: GStreamer's, playing H.264 files as cameras. Needs Debian's packages
gir1.2-gst-rtsp-server-1.0, gstreamer1.0-plugins-good, -bad and python3-gi, and Debian's python3 to run in.

    /usr/bin/python3 bench/rtsp.py PORT NAME=FILE.mp4 [NAME=FILE.mp4 ...] [--login USER:PASSWORD]

Each file is at rtsp://127.0.0.1:PORT/NAME, from its beginning for everyone who opens it, and ends with it.
"""

import sys

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402


def main() -> None:
    """Serves until it is ended."""
    words = sys.argv[1:]
    login = words.pop(words.index("--login") + 1) if "--login" in words else None
    words = [word for word in words if word != "--login"]
    port, *cameras = words
    Gst.init(None)
    server = GstRtspServer.RTSPServer.new()
    server.set_address("127.0.0.1")
    server.set_service(port)
    if login is not None:
        auth, token = GstRtspServer.RTSPAuth.new(), GstRtspServer.RTSPToken.new()
        token.set_string("media.factory.role", "guard")
        auth.add_basic(GstRtspServer.RTSPAuth.make_basic(*login.split(":")), token)
        server.set_auth(auth)
    for camera in cameras:
        name, _, file = camera.partition("=")
        factory = GstRtspServer.RTSPMediaFactory.new()
        factory.set_launch(
            f'( filesrc location="{file}" ! qtdemux ! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96 )'
        )
        if login is not None:
            permissions = GstRtspServer.RTSPPermissions.new()
            permissions.add_permission_for_role("guard", "media.factory.access", True)
            permissions.add_permission_for_role("guard", "media.factory.construct", True)
            factory.set_permissions(permissions)
        server.get_mount_points().add_factory(f"/{name}", factory)
    server.attach(None)
    print("ready", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main()
