"""The ways to a broker: TLS, pre-shared keys, WebSocket, proxies, unix sockets, SRV records, IPv6."""
