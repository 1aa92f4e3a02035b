"""A pool made of the official package, which checks everything a farmer sends it. Run with the Python of a virtual environment.

  pool.py join ROOT URL CONTRACT PAYOUT MNEMONIC    write a plotNFT of that wallet into ROOT, as the official wallet does
  pool.py serve PORT OUT CONTRACT MNEMONIC          be its pool on loopback; one JSON line an event goes to OUT

The pool answers every fifth partial with status 500 the first time it comes, and says after ten what difficulty it wants next.
"""
import hashlib
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from chia.pools.pool_config import PoolingShareState
from chia.protocols.pool_protocol import (
    AuthenticationPayloadV1, PoolErrorCode, PostFarmerPayload, PostPartialPayload, validate_authentication_token,
)
from chia.util.keychain import mnemonic_to_seed
from chia.wallet.derive_keys import master_sk_to_pooling_authentication_sk, master_sk_to_singleton_owner_sk
from chia_rs import AugSchemeMPL, G1Element, G2Element
from chia_rs.sized_bytes import bytes32
from chia_rs.sized_ints import uint32, uint64

LAUNCHER = bytes32(hashlib.sha256(b"launcher").digest())
TARGET = bytes32(hashlib.sha256(b"target").digest())
TIMEOUT = 5
INDEX = uint32(3)


def keys(mnemonic):
    master = AugSchemeMPL.key_gen(mnemonic_to_seed(mnemonic))
    return master_sk_to_singleton_owner_sk(master, INDEX).get_g1(), master_sk_to_pooling_authentication_sk(master, INDEX, uint32(0)).get_g1()


def join(root, url, contract, payout, mnemonic):
    PoolingShareState(
        launcher_id=LAUNCHER, pool_url=url, payout_instructions=payout, target_puzzle_hash=TARGET, p2_singleton_puzzle_hash=bytes32.fromhex(contract),
        owner_public_key=keys(mnemonic)[0], key_derivation_index=-1,
    ).add(root_path=Path(root))


class Pool:
    def __init__(self, out, contract, mnemonic):
        self.out, self.contract = open(out, "w", buffering=1), bytes32.fromhex(contract)
        self.owner, self.expected_key = keys(mnemonic)
        self.key = self.payout = None
        self.difficulty, self.accepted, self.partials, self.failed = 1, {}, 0, set()

    def note(self, event, **what):
        self.out.write(json.dumps({"event": event, **what}) + "\n")

    def info(self):
        return {
            "name": "interop pool", "logo_url": "", "minimum_difficulty": 1, "relative_lock_height": 32, "protocol_version": 1, "fee": "0",
            "description": "", "target_puzzle_hash": TARGET.hex(), "authentication_token_timeout": TIMEOUT, "pool_memoization": "0x80",
        }

    def account(self, query):
        if self.key is None:
            return refuse(PoolErrorCode.FARMER_NOT_KNOWN)
        token = uint64(int(query["authentication_token"]))
        message = AuthenticationPayloadV1("get_farmer", bytes32.from_hexstr(query["launcher_id"]), TARGET, token).get_hash()
        if not AugSchemeMPL.verify(self.key, message, G2Element.from_bytes(bytes.fromhex(query["signature"][2:]))):
            return refuse(PoolErrorCode.INVALID_SIGNATURE)
        if not validate_authentication_token(token, TIMEOUT):
            return refuse(PoolErrorCode.INVALID_AUTHENTICATION_TOKEN)
        return {
            "authentication_public_key": bytes(self.key).hex(), "payout_instructions": self.payout, "current_difficulty": self.difficulty,
            "current_points": sum(self.accepted.values()),
        }

    def register(self, body, method):
        fields = {name: value for name, value in body["payload"].items() if name != "authentication_token_v2"}
        payload = PostFarmerPayload.from_json_dict(fields)
        if method == "PUT":
            # What pools of the first protocol have signed: the same fields, two of them optional.
            from chia.farmer.farmer import PutFarmerPayloadBackCompat

            signed = PutFarmerPayloadBackCompat.from_json_dict(fields).get_hash()
        else:
            signed = payload.get_hash()
        if not AugSchemeMPL.verify(self.owner, signed, G2Element.from_bytes(bytes.fromhex(body["signature"][2:]))):
            return refuse(PoolErrorCode.INVALID_SIGNATURE)
        if payload.launcher_id != LAUNCHER or payload.authentication_public_key != self.expected_key:
            return refuse(PoolErrorCode.INVALID_SINGLETON)
        self.key, self.payout = payload.authentication_public_key, payload.payout_instructions
        self.note("registered", method=method, payout=self.payout)
        return {"welcome_message": "welcome"} if method == "POST" else {"authentication_public_key": True, "payout_instructions": True, "suggested_difficulty": None}

    def partial(self, body, headers):
        if self.key is None:
            self.note("unknown")
            return refuse(PoolErrorCode.FARMER_NOT_KNOWN)
        payload = PostPartialPayload.from_json_dict(body["payload"])
        proof, message = payload.proof_of_space, payload.get_hash()
        signature = G2Element.from_bytes(bytes.fromhex(body["aggregate_signature"][2:]))
        wrong = [
            name
            for name, is_right in {
                "signature": AugSchemeMPL.aggregate_verify([proof.plot_public_key, self.key], [message, message], signature),
                "contract": proof.pool_contract_puzzle_hash == self.contract,
                "launcher": payload.launcher_id == LAUNCHER,
                "token": validate_authentication_token(payload.authentication_token, TIMEOUT),
                "token_v2": body["authentication_token_v2"] == str(payload.authentication_token),
                "proof": valid(proof),
                "headers": headers.get("chia-harvester-version") and headers.get("chia-farmer-version"),
            }.items()
            if not is_right
        ]
        if wrong:
            self.note("wrong", what=wrong)
            return refuse(PoolErrorCode.INVALID_PROOF)
        if message not in self.failed and message not in self.accepted:
            self.partials += 1
            if self.partials % 5 == 0:
                self.failed.add(message)
                return None
        self.accepted[message] = self.difficulty
        if len(self.accepted) == 10:
            self.difficulty = 2
        self.note("accepted", harvester=headers["chia-harvester-version"], again=message in self.failed, v2=proof.param().size_v1 is None)
        return {"new_difficulty": self.difficulty}


def valid(proof):
    if proof.param().size_v1 is None:
        from chia_rs import validate_proof_v2

        return validate_proof_v2(proof.compute_plot_id(), len(proof.proof) // 16, proof.challenge, proof.param().strength_v2, bytes(proof.proof), True) is not None
    from chiapos import Verifier

    plot_id = hashlib.sha256(bytes(proof.pool_contract_puzzle_hash) + bytes(proof.plot_public_key)).digest()
    return len(Verifier().validate_proof(plot_id, proof.param().size_v1, bytes(proof.challenge), bytes(proof.proof))) == 32


def refuse(code):
    return {"error_code": code.value, "error_message": code.name}


def serve(port, out, contract, mnemonic):
    pool = Pool(out, contract, mnemonic)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self):
            url = urlsplit(self.path)
            length = int(self.headers.get("Content-Length") or 0)
            body = json.loads(self.rfile.read(length)) if length else None
            query = {name: values[0] for name, values in parse_qs(url.query).items()}
            try:
                answer = {
                    ("GET", "/pool_info"): pool.info,
                    ("GET", "/farmer"): lambda: pool.account(query),
                    ("POST", "/farmer"): lambda: pool.register(body, "POST"),
                    ("PUT", "/farmer"): lambda: pool.register(body, "PUT"),
                    ("POST", "/partial"): lambda: pool.partial(body, self.headers),
                }[self.command, url.path]()
            except Exception as error:
                pool.note("error", what=f"{self.command} {url.path}: {error!r}")
                answer = None
            text = b"" if answer is None else json.dumps(answer).encode()
            self.send_response(500 if answer is None else 200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = answer

        def log_message(self, *_):
            pass

    ThreadingHTTPServer(("127.0.0.1", int(port)), Handler).serve_forever()


if __name__ == "__main__":
    {"join": join, "serve": serve}[sys.argv[1]](*sys.argv[2:])
