#!/usr/bin/env python3
"""Makes simulated_chain.json: what the simulated chain must say, built with official types, and v1 proofs for it.

Run with the python of an environment that has chia-blockchain 2.7.5. Needs constants_vectors.json beside it, whose keys
make the plots' ids. Plots are made in a temporary directory; only proofs are kept.
"""
import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

from chia.consensus.constants import replace_str_to_bytes
from chia.consensus.default_constants import DEFAULT_CONSTANTS
from chia.consensus.pot_iterations import calculate_iterations_quality, calculate_sp_interval_iters
from chia.protocols.farmer_protocol import NewSignagePoint, SignagePointSourceData, SPSubSlotSourceData, SPVDFSourceData
from chia.types.blockchain_format.classgroup import ClassgroupElement
from chia.types.blockchain_format.proof_of_space import (
    calculate_pos_challenge,
    calculate_prefix_bits,
    make_pos,
    passes_plot_filter,
    verify_and_get_quality_string,
)
from chia.types.blockchain_format.vdf import VDFInfo
from chia_rs import ChallengeChainSubSlot, G1Element, PlotParam, RewardChainSubSlot
from chia_rs.sized_bytes import bytes32
from chia_rs.sized_ints import uint8, uint32, uint64
from chiapos import DiskPlotter, DiskProver

HERE = Path(__file__).resolve().parent
KEYS = json.loads((HERE / "constants_vectors.json").read_text())["keys"]
SEED, K, HEIGHT = 1, 18, uint32(1000)
SIMULATOR1 = {
    "TESTNET": True, "GENESIS_CHALLENGE": "b2e96da57bcb3a7cf2a2d0f2d1dbf5ac8f2f9a1ef4d7a3c2e1f0918273645501",
    "MIN_PLOT_SIZE_V1": 18, "PLOT_SIZE_V2": 20, "NUMBER_ZERO_BITS_PLOT_FILTER_V1": 3, "NUMBER_ZERO_BITS_PLOT_FILTER_V2": 2,
    "SUB_SLOT_ITERS_STARTING": 65536, "DIFFICULTY_STARTING": 30, "DIFFICULTY_CONSTANT_FACTOR": 1650000000,
    "POOL_SUB_SLOT_ITERS": 65536, "HARD_FORK_HEIGHT": 0, "SOFT_FORK8_HEIGHT": 0, "SOFT_FORK9_HEIGHT": 0,
}
C = replace_str_to_bytes(DEFAULT_CONSTANTS, **SIMULATOR1)
SEED_HASH = hashlib.sha256(b"farmconsole simulated chain" + C.GENESIS_CHALLENGE + SEED.to_bytes(8, "big")).digest()


def draw(domain, number):
    parts = [hashlib.sha256(SEED_HASH + domain + number.to_bytes(8, "big") + bytes([i])).digest() for i in range(4)]
    return ClassgroupElement.create(b"".join(parts)[:100])


def sub_slots():
    cc_challenge = rc_challenge = C.GENESIS_CHALLENGE
    ssi = uint64(C.SUB_SLOT_ITERS_STARTING)
    for number in range(10**6):
        cc = ChallengeChainSubSlot(VDFInfo(cc_challenge, ssi, draw(b"cc sub-slot", number)), None, None, None, None)
        rc = RewardChainSubSlot(VDFInfo(rc_challenge, ssi, draw(b"rc sub-slot", number)), cc.get_hash(), None, uint8(16))
        yield number, cc, rc
        cc_challenge, rc_challenge = cc.get_hash(), rc.get_hash()


def signage_points():
    slots = sub_slots()
    history = [next(slots)[1].get_hash(), next(slots)[1].get_hash()]
    for number, cc, rc in slots:
        for index in range(C.NUM_SPS_SUB_SLOT):
            if index == 0:
                cc_sp, rc_sp = cc.get_hash(), rc.get_hash()
                source = SignagePointSourceData(sub_slot_data=SPSubSlotSourceData(cc, rc))
            else:
                a, b = draw(b"cc sp", number * 64 + index), draw(b"rc sp", number * 64 + index)
                cc_sp, rc_sp = a.get_hash(), b.get_hash()
                source = SignagePointSourceData(vdf_data=SPVDFSourceData(a, b))
            yield NewSignagePoint(
                cc.get_hash(), cc_sp, rc_sp, uint64(C.DIFFICULTY_STARTING), uint64(C.SUB_SLOT_ITERS_STARTING), uint8(index),
                HEIGHT, HEIGHT, sp_source_data=source, filter_challenge=history[-2] if index < 16 else history[-1])
        history.append(cc.get_hash())


def v1_proofs(kind, directory):
    """Of one plot: the first proof that makes no block, then the first three that do."""
    pool_pk = G1Element.from_bytes(bytes.fromhex(KEYS["pool"]["pk"])) if kind == "og" else None
    contract = bytes32.fromhex(KEYS["pool_contract_puzzle_hash"]) if kind == "contract" else None
    plot_pk = G1Element.from_bytes(bytes.fromhex(KEYS[f"plot_pk_{kind}"]))
    param = PlotParam.make_v1(K)
    plot_id = bytes32.fromhex(KEYS[f"plot_id_{kind}"])
    saved, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    sys.stdout.flush()
    os.dup2(null, 1)    # the plotter writes its progress to stdout
    DiskPlotter().create_plot_disk(
        directory, directory, directory, f"{kind}.plot", K, bytes.fromhex(KEYS[f"memo_{kind}"]), plot_id, 100, 0, 2000, 1, False)
    os.dup2(saved, 1)
    prover = DiskProver(f"{directory}/{kind}.plot")
    wanted = {False: 1, True: 3}
    for number, sp in enumerate(signage_points()):
        cc, cc_sp = sp.challenge_hash, sp.challenge_chain_sp
        if not passes_plot_filter(calculate_prefix_bits(C, HEIGHT, param), plot_id, cc, cc_sp):
            continue
        challenge = calculate_pos_challenge(plot_id, cc, cc_sp)
        for i, _ in enumerate(prover.get_qualities_for_challenge(challenge)):
            pos = make_pos(challenge, pool_pk, contract, plot_pk, param, bytes(prover.get_full_proof(challenge, i)))
            quality = verify_and_get_quality_string(pos, C, cc, cc_sp, height=HEIGHT, prev_transaction_block_height=HEIGHT)
            assert quality is not None
            iters = calculate_iterations_quality(C, quality, param, sp.difficulty, cc_sp, height=HEIGHT)
            wins = iters < calculate_sp_interval_iters(C, sp.sub_slot_iters)
            if wanted[wins]:
                wanted[wins] -= 1
                yield {"kind": kind, "signage_point": number, "proof_of_space": bytes(pos).hex(), "quality": quality.hex(),
                       "required_iters": int(iters), "wins": wins}
        if not any(wanted.values()):
            return


def main():
    with tempfile.TemporaryDirectory() as tmp:
        proofs = [proof for kind in ("og", "contract") for proof in v1_proofs(kind, tmp)]
    points = [bytes(sp).hex() for sp, _ in zip(signage_points(), range(200))]
    points = [p if i in (0, 1, 15, 16, 63, 64, 65, 128, 199) else hashlib.sha256(bytes.fromhex(p)).hexdigest() for i, p in enumerate(points)]
    dump = lambda items: ",\n".join(json.dumps(item) for item in items)
    (HERE / "simulated_chain.json").write_text(
        '{"made_by": "make_simulated_chain.py, chia-blockchain 2.7.5", "network": "simulator1", "seed": 1, "note": "signage points: the bytes of some, of the others their sha256",\n'
        '"signage_points": [\n' + dump(points) + '],\n"proofs": [\n' + dump(proofs) + "]}\n")


main()
