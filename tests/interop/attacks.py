"""Run with the Python of a virtual environment that holds the official package: what can be done with the certificate of a
harvester that joined a farm, against the official software's own TLS contexts. Prints one JSON object: attack -> "refused: why"
or "let in".

  attacks.py FARM_ROOT MEMBERSHIP_JSON
"""
import json
import socket
import ssl
import sys
import tempfile
import threading
from pathlib import Path

from chia.server.server import ssl_context_for_client, ssl_context_for_server


def meet(server, client, server_hostname=None):
    """One TLS handshake over a pair of sockets, and a byte each way; what the server says of the client and vice versa."""
    near, far = socket.socketpair()
    result = {}

    def serve():
        try:
            with server.wrap_socket(near, server_side=True) as stream:
                stream.recv(1)
                stream.send(b"y")
                result["server"] = "let in"
        except (ssl.SSLError, OSError) as error:
            result["server"] = f"refused: {error}"
            near.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        with client.wrap_socket(far, server_hostname=server_hostname) as stream:
            stream.send(b"x")
            stream.recv(1)
            result["client"] = "let in"
    except (ssl.SSLError, OSError) as error:
        result["client"] = f"refused: {error}"
        far.close()
    thread.join(10)
    return result


def main(root, membership):
    root, member = Path(root), json.loads(Path(membership).read_text())
    chia, farm = root / "config/ssl", root / "farmconsole/ca"
    read = lambda path: path.read_text()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = Path(scratch)
        key = scratch / "leaf.key"
        key.write_text(member["key"])
        key.chmod(0o600)

        def chain(name, *parts):
            path = scratch / name
            path.write_text("".join(parts))
            return path

        leaf = member["certificate"]
        cross, server_ca, client_ca = read(farm / "server_ca_by_chia.crt"), read(farm / "server_ca.crt"), read(farm / "client_ca.crt")
        # The wallet, daemon and farmer RPC of the main machine trust Chia's private CA.
        main_machine = lambda: ssl_context_for_server(
            chia / "ca/private_ca.crt", chia / "ca/private_ca.key", chia / "daemon/private_daemon.crt", chia / "daemon/private_daemon.key")

        def as_client(chain_file):
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.load_verify_locations(cafile=chia / "ca/private_ca.crt")
            context.load_cert_chain(chain_file, key)
            return context

        results = {
            name: meet(main_machine(), as_client(chain(f"{n}.crt", *parts)))["server"]
            for n, (name, parts) in enumerate({
                "leaf alone": [leaf],
                "leaf and cross-certificate": [leaf, cross],
                "leaf and client CA": [leaf, client_ca],
                "leaf, client CA, server CA and cross-certificate": [leaf, client_ca, server_ca, cross],
            }.items())
        }
        # A harvester that plays the farmer to an official harvester, of the old CA and of this farm.
        false_farmer = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        false_farmer.load_cert_chain(chain("server.crt", leaf, cross), key)
        for name, ca in [("plays farmer to a harvester of Chia's CA", chia / "ca/private_ca.crt"), ("plays farmer to a harvester that joined", farm / "server_ca.crt")]:
            harvester = ssl_context_for_client(ca, ca, chain("own.crt", leaf), key)
            results[name] = meet(false_farmer, harvester)["client"]
        # The control: what is refused above is not refused because the set-up is wrong.
        wallet = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        wallet.check_hostname = False
        wallet.load_verify_locations(cafile=chia / "ca/private_ca.crt")
        wallet.load_cert_chain(chia / "wallet/private_wallet.crt", chia / "wallet/private_wallet.key")
        results["control: the wallet itself"] = meet(main_machine(), wallet)["server"]
    print(json.dumps(results))


if __name__ == "__main__":
    main(*sys.argv[1:])
