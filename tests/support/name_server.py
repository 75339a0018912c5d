"""A name server on loopback, for SRV records."""

from __future__ import annotations

import socket
import threading
from unittest import mock

import dns.flags
import dns.message
import dns.rcode
import dns.resolver
import dns.rrset


class NameServer:
    """Answers SRV questions from `records`: name -> texts of records; unknown names do not exist.

    As a context it is the one that dnspython asks.
    """

    def __init__(self) -> None:
        self.records: dict[str, list[str]] = {}
        self.asked: list[str] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def __enter__(self) -> NameServer:
        resolver = dns.resolver.Resolver(configure=False)
        resolver.nameservers, resolver.port = ["127.0.0.1"], self.port
        self._patch = mock.patch.object(dns.resolver, "default_resolver", resolver)
        self._patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.stop()
        self.close()

    def _serve(self) -> None:
        while True:
            data, sender = self._socket.recvfrom(4096)
            if not data:
                return
            query = dns.message.from_wire(data)
            name = query.question[0].name
            self.asked.append(name.to_text())
            answer = dns.message.make_response(query)
            answer.flags |= dns.flags.AA
            texts = self.records.get(name.to_text())
            if texts:
                answer.answer.append(dns.rrset.from_text(name, 60, "IN", "SRV", *texts))
            elif texts is None:
                answer.set_rcode(dns.rcode.NXDOMAIN)
            self._socket.sendto(answer.to_wire(), sender)

    def close(self) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join(5)
        self._socket.close()
