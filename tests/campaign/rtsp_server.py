"""An RTSP camera by GStreamer's server, for the system's Python, which has its bindings.

python3 rtsp_server.py PORT [--damage SHARE]    # rtsp://user:topsecret@127.0.0.1:PORT/live; prints "up"
"""

import argparse

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

parser = argparse.ArgumentParser()
parser.add_argument("port")
parser.add_argument("--damage", type=float, default=0.0)
args = parser.parse_args()
Gst.init(None)
# Ten pictures a key frame: a client that comes, or lost one, has a whole picture soon.
damage = f"breakmydata probability={args.damage} skip=200 ! " if args.damage else ""
launch = (
    "( videotestsrc is-live=true ! video/x-raw,width=160,height=120,framerate=25/1 ! x264enc tune=zerolatency "
    f"speed-preset=ultrafast key-int-max=10 ! {damage}rtph264pay name=pay0 pt=96 config-interval=1 )"
)
server = GstRtspServer.RTSPServer(service=args.port)
server.set_address("127.0.0.1")
factory = GstRtspServer.RTSPMediaFactory()
factory.set_launch(launch)
factory.set_shared(True)
auth = GstRtspServer.RTSPAuth()
token = GstRtspServer.RTSPToken()
token.set_string("media.factory.role", "user")
basic = GstRtspServer.RTSPAuth.make_basic("user", "topsecret")
auth.add_basic(basic, token)
server.set_auth(auth)
permissions = GstRtspServer.RTSPPermissions()
permissions.add_permission_for_role("user", "media.factory.access", True)
permissions.add_permission_for_role("user", "media.factory.construct", True)
factory.set_permissions(permissions)
server.get_mount_points().add_factory("/live", factory)
server.attach(None)
print("up", flush=True)
GLib.MainLoop().run()
