"""A full node as a farmer sees it, made of the official package's server, types and checks; run with that package's Python.

  full_node.py ROOT PORT NETWORK

ROOT was made by `chia init` and `official.py configure`. The node makes signage points of its own, judges every
declaration as a node would, and asks for block signatures. Orders come as JSON lines on stdin, events leave on stdout:
  {"do": "point"}      the next signage point            {"do": "again"}   the last one once more
  {"do": "reorg"}      the last one, other reward chain  {"do": "skip"}    one that nobody gets
  {"do": "late"}       the one that was skipped          {"do": "close"}   hang up on every farmer
  {"do": "old"}        points from here on as nodes before 2.7.4 send them: without their last field
  {"do": "steal"}      blocks from here on pay the farmer's share to somebody else
  {"do": "honest"}     and from here on they do not
"""
import asyncio
import contextlib
import dataclasses
import json
import logging
import os
import secrets
import sys
import threading
from pathlib import Path

ROOT, PORT, NETWORK = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
os.environ["CHIA_ROOT"], os.environ["CHIA_KEYS_ROOT"] = str(ROOT), str(ROOT / "keys")
sys.argv = sys.argv[:1]

from chia.apis import StubMetadataRegistry
from chia.consensus.constants import replace_str_to_bytes
from chia.consensus.default_constants import DEFAULT_CONSTANTS
from chia.consensus.pot_iterations import calculate_iterations_quality, calculate_sp_interval_iters
from chia.protocols import farmer_protocol
from chia.protocols.outbound_message import Message, NodeType, make_msg
from chia.protocols.protocol_message_types import ProtocolMessageTypes
from chia.server.api_protocol import ApiMetadata
from chia.server.signal_handlers import SignalHandlers
from chia.server.start_service import Service
from chia.server.ws_connection import WSChiaConnection
from chia.types.blockchain_format.proof_of_space import verify_and_get_quality_string
from chia.util.config import load_config, lock_and_load_config, save_config
from chia_rs import AugSchemeMPL, FoliageBlockData, FoliageTransactionBlock, PoolTarget, RewardChainBlockUnfinished
from chia_rs.sized_bytes import bytes32
from chia_rs.sized_ints import uint8, uint32, uint64, uint128

THIEF = bytes32(b"\xbb" * 32)


def tell(event, **details):
    print(json.dumps({"event": event, **details}), flush=True)


def random32():
    return bytes32(secrets.token_bytes(32))


class Chain:
    """The part of the official `Service` contract that a node without a database can fulfil."""

    class blockchain:
        @staticmethod
        def get_peak_height():
            return None

    server = None
    _shut_down = False

    @contextlib.asynccontextmanager
    async def manage(self):
        yield

    def set_server(self, server):
        self.server = server

    def _set_state_changed_callback(self, callback):
        pass

    def get_connections(self, request_node_type):
        return []

    async def on_connect(self, connection):
        tell("farmer", version=connection.version, type=connection.connection_type.name, port=connection.peer_server_port)

    async def on_disconnect(self, connection):
        tell("farmer_gone")


class Api:
    log = logging.getLogger("full_node")
    metadata = ApiMetadata()

    def __init__(self, constants):
        self.constants = constants
        self.points = {}
        self.asked = {}
        self.steals = False

    def ready(self):
        return True

    def judge(self, declared):
        """Quality of a declared proof; raises what is wrong with it."""
        point = self.points.get((declared.challenge_chain_sp, declared.reward_chain_sp))
        if point is None or point.challenge_hash != declared.challenge_hash:
            raise ValueError("no such signage point")
        proof = declared.proof_of_space
        quality = verify_and_get_quality_string(
            proof, self.constants, declared.challenge_hash, declared.challenge_chain_sp, height=point.peak_height,
            prev_transaction_block_height=point.last_tx_height, filter_challenge=point.filter_challenge,
            signage_point_index=declared.signage_point_index,
        )
        if quality is None:
            raise ValueError("the proof is no proof")
        iterations = calculate_iterations_quality(
            self.constants, quality, proof.param(), point.difficulty, declared.challenge_chain_sp, height=point.last_tx_height
        )
        if iterations >= calculate_sp_interval_iters(self.constants, point.sub_slot_iters):
            raise ValueError("the proof is not good enough")
        signed = [
            (proof.plot_public_key, declared.challenge_chain_sp, declared.challenge_chain_sp_signature),
            (proof.plot_public_key, declared.reward_chain_sp, declared.reward_chain_sp_signature),
        ]
        if proof.pool_public_key is not None:
            signed.append((proof.pool_public_key, bytes(declared.pool_target), declared.pool_signature))
        elif declared.pool_target is not None or declared.pool_signature is not None:
            raise ValueError("a pool target for a plot that pays into a contract")
        if not all(AugSchemeMPL.verify(*parts) for parts in signed):
            raise ValueError("a signature is wrong")
        return quality

    @metadata.request(peer_required=True)
    async def declare_proof_of_space(self, request: farmer_protocol.DeclareProofOfSpace, peer: WSChiaConnection) -> None:
        try:
            quality = self.judge(request)
        except Exception as error:
            return tell("declared", ok=False, why=str(error))
        tell("declared", ok=True, contract=request.proof_of_space.pool_contract_puzzle_hash is not None)
        proof = request.proof_of_space
        block = RewardChainBlockUnfinished(
            uint128(1), request.signage_point_index, request.challenge_hash, proof, None, request.challenge_chain_sp_signature,
            None, request.reward_chain_sp_signature,
        )
        target = request.pool_target or PoolTarget(proof.pool_contract_puzzle_hash, uint32(0))
        farmer = THIEF if self.steals else request.farmer_puzzle_hash
        foliage = FoliageBlockData(block.get_hash(), target, request.pool_signature, farmer, random32())
        transactions = FoliageTransactionBlock(random32(), uint64(1), random32(), random32(), random32(), random32())
        hashes = foliage.get_hash(), transactions.get_hash()
        # After a reorg there are two blocks of one proof.
        self.asked.setdefault(quality, []).append((proof.plot_public_key, hashes))
        shown = (foliage, transactions, block) if request.include_signature_source_data else (None, None, None)
        wanted = farmer_protocol.RequestSignedValues(quality, *hashes, *shown)
        await peer.send_message(make_msg(ProtocolMessageTypes.request_signed_values, wanted))
        tell("asked", steals=self.steals)

    @metadata.request(peer_required=True)
    async def signed_values(self, request: farmer_protocol.SignedValues, peer: WSChiaConnection) -> None:
        signatures = request.foliage_block_data_signature, request.foliage_transaction_block_signature

        def is_signed(block):
            key, hashes = block
            return all(AugSchemeMPL.verify(key, *pair) for pair in zip(hashes, signatures))

        waiting = self.asked.get(request.quality_string, [])
        signed = next(filter(is_signed, waiting), None)
        if signed:
            waiting.remove(signed)
        tell("signed", ok=signed is not None)


class Points:
    """Signage points with random hashes."""

    def __init__(self, constants):
        self.constants, self.height, self.old = constants, 1000, False
        self.index, self.challenge = 0, random32()

    def next(self):
        self.index = (self.index + 1) % 64
        self.height += 1
        if self.index == 0:
            self.challenge = random32()
        sp = self.challenge if self.index == 0 else random32()
        return farmer_protocol.NewSignagePoint(
            self.challenge, sp, random32(), uint64(self.constants.DIFFICULTY_STARTING),
            uint64(self.constants.SUB_SLOT_ITERS_STARTING), uint8(self.index), uint32(self.height), uint32(self.height - 2),
            filter_challenge=None if self.old else random32(),
        )


async def main():
    with lock_and_load_config(ROOT, "config.yaml") as config:
        config["full_node"]["port"] = PORT
        save_config(ROOT, "config.yaml", config)
    config = load_config(ROOT, "config.yaml", fill_missing_services=True)
    constants = replace_str_to_bytes(DEFAULT_CONSTANTS, **config["network_overrides"]["constants"][NETWORK])
    chain, api, points = Chain(), Api(constants), Points(constants)
    service = Service(
        root_path=ROOT, config=config, node=chain, peer_api=api, node_type=NodeType.FULL_NODE, advertised_port=PORT,
        service_name="full_node", network_id=NETWORK, on_connect_callback=chain.on_connect, rpc_info=None,
        connect_to_daemon=False, stub_metadata_for_type=StubMetadataRegistry,
    )
    last = skipped = None

    async def send(point):
        api.points[point.challenge_chain_sp, point.reward_chain_sp] = point
        message = make_msg(ProtocolMessageTypes.new_signage_point, point)
        if points.old:  # its last field, an option that is not set, is one byte of zero
            message = Message(uint8(message.type), message.id, bytes(message.data)[:-1])
        await chain.server.send_to_all([message], NodeType.FARMER)
        tell("point", index=point.signage_point_index)

    async def carry_out(order):
        nonlocal last, skipped
        if order == "point":
            last = points.next()
            await send(last)
        elif order == "again":
            await send(last)
        elif order == "reorg":
            last = dataclasses.replace(last, reward_chain_sp=random32())
            await send(last)
        elif order == "skip":
            skipped = points.next()
        elif order == "late":
            await send(skipped)
        elif order == "close":
            for connection in chain.server.get_connections(NodeType.FARMER):
                await connection.close()
        elif order == "old":
            points.old = True
        elif order in ("steal", "honest"):
            api.steals = order == "steal"

    async def orders():
        queue, loop = asyncio.Queue(), asyncio.get_running_loop()

        def read():
            for line in sys.stdin:
                loop.call_soon_threadsafe(queue.put_nowait, line)
            loop.call_soon_threadsafe(service.stop_requested.set)

        while chain.server is None or chain.server.webserver is None:
            await asyncio.sleep(0.05)
        tell("ready")
        threading.Thread(target=read, daemon=True).start()
        while True:
            await carry_out(json.loads(await queue.get())["do"])

    async with SignalHandlers.manage() as handlers:
        await service.setup_process_global_state(signal_handlers=handlers)
        task = asyncio.create_task(orders())
        await service.run()
        task.cancel()


asyncio.run(main())
