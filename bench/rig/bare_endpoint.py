"""Baseline of a single post: a Starlette endpoint that reads and parses the body, and nothing else."""

import socket

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route


async def post(request: Request) -> JSONResponse:
    event = await request.json()
    return JSONResponse({"event_id": event["event_id"]}, 202)


async def root(_request: Request) -> JSONResponse:
    return JSONResponse({"status": "ok"})


if __name__ == "__main__":
    app = Starlette(routes=[Route("/", root), Route("/api/bridge/{script_id}/events", post, methods=["POST"])])
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    print(f"bare http://127.0.0.1:{bound.getsockname()[1]}", flush=True)
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", ws="none", log_config=None, access_log=False, server_header=False,
        proxy_headers=False, backlog=2048, timeout_keep_alive=65,
    )  # fmt: skip
    uvicorn.Server(config).run(sockets=[bound])
