"""A server that speaks the OpenAI protocol and answers every request alike after a while. Run as a process of its own.

python bench/_server.py SECONDS     # prints its port, then serves until it is killed
"""

import asyncio
import json
import sys

__all__: list[str] = []


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wait: float) -> None:
    """Answer the requests of one connection; each text has a number of its own."""
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            length = next(
                (
                    int(line.split(b":")[1])
                    for line in head.split(b"\r\n")
                    if line.lower().startswith(b"content-length")
                ),
                0,
            )
            asked = json.loads(await reader.readexactly(length)) if length else {}
            await asyncio.sleep(wait)
            seed = asked.get("seed") or hash(json.dumps(asked, sort_keys=True)) % 10**6
            said = json.dumps({"text": f"This film number {seed} is a joy to watch from start to end."})
            answer = {
                "id": "x", "object": "chat.completion", "created": 0, "model": asked.get("model", "mock"),
                "choices": [
                    {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
                ],
                "usage": {"prompt_tokens": 50, "completion_tokens": 15, "total_tokens": 65},
            }  # fmt: skip
            body = json.dumps(answer).encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Serve on a free port."""
    wait = float(sys.argv[1])
    server = await asyncio.start_server(lambda r, w: serve(r, w, wait), "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
