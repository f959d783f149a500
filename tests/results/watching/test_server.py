"""The server tells who has the address, on this machine, by GET, and nobody else anything."""

import json
import socket
import struct
import threading

import pytest

from lottery.results.watching.server import Server

SEALED = ["Content-Security-Policy", "Cache-Control", "Referrer-Policy", "X-Content-Type-Options",
          "Cross-Origin-Resource-Policy", "X-Frame-Options"]  # fmt: skip


def test_the_page_is_whole_and_lets_its_own_script_alone_run(served):
    ask = served()
    answer = ask()
    assert answer.status == 200
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy and "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert all(answer.headers[name] for name in SEALED)
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]
    assert "Python" not in str(answer.headers)
    text = answer.body.decode()
    assert "http://" not in text.replace("http://www.w3.org/2000/svg", "") and "https://" not in text


@pytest.mark.parametrize(
    "path",
    ["/", "/data", "/favicon.ico", "/x/", "/x/data", "/TOKEN/nothing", "/TOKEN/../data", "/TOKEN/data/",
     "/TOKENx/", "/token/data?since=0", "/%54OKEN/"],
)  # fmt: skip
def test_every_other_address_is_told_nothing(served, path):
    ask = served()
    answer = ask(path.replace("TOKEN", ask.server.token), whole=True)
    assert (answer.status, answer.body) == (404, b"Not Found\n")
    assert answer.headers["Content-Type"].startswith("text/plain")


def test_an_address_without_its_last_slash_leads_to_the_page(served):
    ask = served()
    answer = ask(f"/{ask.server.token}", whole=True)
    assert (answer.status, answer.headers["Location"]) == (308, f"/{ask.server.token}/")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "", "0.0.0.0", "localhost.", "[::2]:1", "127.0.0.1:x"])  # fmt: skip
def test_another_name_of_this_machine_is_told_nothing(served, host):
    """A page elsewhere may have its own name lead to 127.0.0.1; it cannot change what Host says."""
    answer = served()("data", Host=host)
    assert (answer.status, answer.body) == (404, b"Not Found\n")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:9", "LOCALHOST", "[::1]:80"])
def test_the_names_of_this_machine_with_any_port_are_served(served, host):
    assert served()("data", Host=host).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "X"])
def test_nothing_but_to_read_is_allowed(served, method):
    ask = served()
    for path, whole in (("", False), ("/", True)):
        answer = ask(path, method, whole=whole)
        assert answer.status == 405
        assert answer.headers["Allow"] == "GET, HEAD"
        assert answer.body == b"Method Not Allowed\n"


def test_head_has_no_body(served):
    answer = served()("", "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["Content-Length"]) > 10_000


@pytest.mark.parametrize("since", ["", "x", "-1", "9" * 40, "1.5", "%00", "٣", "99"])
def test_an_odd_version_gets_everything(served, fabricate, since):
    from urllib.parse import quote

    fabricate()
    found = json.loads(served()(f"data?since={quote(since)}").body)
    assert found["whole"] and len(found["rows"]) == 1


@pytest.mark.parametrize("sent", [b"\r\n\r\n", b"GET\r\n\r\n", b"\x16\x03\x01\x00\xff\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"GET /" + b"a" * 70_000 + b" HTTP/1.0\r\n\r\n", b"GET / HTTP/1.0\r\nHost: x\r\n" + b"A: b\r\n" * 200 + b"\r\n"])  # fmt: skip
def test_what_is_no_request_stops_nothing(served, sent, capfd):
    ask = served()
    with socket.create_connection(("127.0.0.1", ask.server.server_port), timeout=60) as there:
        there.sendall(sent)
        got = there.makefile("rb").read()
    assert b"Traceback" not in got and ask.server.token.encode() not in got
    assert ask("data").status == 200
    assert "Traceback" not in capfd.readouterr().err


def test_many_at_once_are_all_answered(served, fabricate):
    fabricate()
    ask, found = served(), []
    threads = [threading.Thread(target=lambda: found.append(ask("data").status)) for _ in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [200] * 200


def test_no_two_addresses_are_alike_and_only_this_machine_is_listened_to(served):
    one, two = served().server, served().server
    assert one.token != two.token and len(one.token) >= 32
    assert one.server_address[0] == "127.0.0.1"
    assert one.address == f"http://127.0.0.1:{one.server_port}/{one.token}/"


def test_the_port_is_free_again_at_once(watching):
    watch = watching()
    server = Server(0, watch, None)
    port = server.server_port
    with pytest.raises(OSError, match="in use"):
        Server(port, watch, None)
    server.server_close()
    Server(port, watch, None).server_close()


def test_who_connects_and_says_nothing_is_in_nobodys_way(served, fabricate):
    fabricate()
    ask = served()
    silent = [socket.create_connection(("127.0.0.1", ask.server.server_port)) for _ in range(100)]
    try:
        assert ask("data").status == 200
    finally:
        for one in silent:
            one.close()


def test_an_address_asked_for_and_not_waited_for_is_no_error(served, fabricate, capfd):
    for k in range(5):
        fabricate(replicate=k)
    ask = served()
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", ask.server.server_port)) as there:
            there.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
            there.sendall(f"GET /{ask.server.token}/data HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
    assert ask("data").status == 200
    assert capfd.readouterr().err == ""
