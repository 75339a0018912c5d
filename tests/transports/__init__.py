"""The ways to a broker: TLS, pre-shared keys, proxies, unix sockets, SRV records, IPv6."""
