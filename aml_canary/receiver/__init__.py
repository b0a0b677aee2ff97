"""The webhook door: `create_app()` is a plain ASGI app factory, `serve()` runs it."""

from aml_canary.receiver.app import create_app
from aml_canary.receiver.server import serve

__all__ = ["create_app", "serve"]
