"""BertServer and the parsers as Python programs use them."""

from __future__ import annotations

import argparse
import threading
from pathlib import Path

import numpy as np
import pytest
from bert_serving.server import BertServer
from bert_serving.server.helper import get_args_parser, get_shutdown_parser

from bert_ft.errors import BertFtError
from bert_ft.pooling_strategy import PoolingStrategy
from tests.engines.dummy import DUMMY
from tests.server.support import RawClient, expected, free_ports


def flags(folder: Path, *more: str) -> list[str]:
    port, port_out = free_ports()
    common = ["-model_dir", str(folder), "-port", str(port), "-port_out", str(port_out), "-engine", DUMMY]
    return [*common, *more]


def vectors_of(server_args: object) -> np.ndarray:
    client = RawClient(server_args, b"python")  # type: ignore[arg-type]
    try:
        client.send(["a b"])
        return client.vectors()[1]
    finally:
        client.close()


def test_context_manager_serves_and_leaves_nothing(model_dir: Path) -> None:
    args = get_args_parser().parse_args(flags(model_dir))
    with BertServer(args) as server:
        assert server.is_ready.is_set()
        np.testing.assert_allclose(vectors_of(args), expected(["a b"]), atol=1e-6)
    assert not server.is_alive()
    with BertServer(args):  # the ports are free again
        assert vectors_of(args).shape == (1, 8)
    names = {thread.name for thread in threading.enumerate()}
    assert "BertServer" not in names


def test_start_ready_shutdown_join(model_dir: Path) -> None:
    args = get_args_parser().parse_args(flags(model_dir))
    server = BertServer(args)
    server.start()
    assert server.is_ready.wait(20)
    port, port_out = str(args.port), str(args.port_out)
    BertServer.shutdown(get_shutdown_parser().parse_args(["-port", port, "-port_out", port_out]))
    server.join(10)
    assert not server.is_alive()
    server.close()
    with pytest.raises(BertFtError, match="no server at"):
        BertServer.shutdown(argparse.Namespace(ip="localhost", port=args.port, timeout=500))


def test_namespace_of_an_old_script(model_dir: Path) -> None:
    port, port_out = free_ports()
    args = argparse.Namespace(
        model_dir=str(model_dir), port=port, port_out=port_out, engine=DUMMY, max_seq_len=8, pooling_layer=[-1]
    )
    with BertServer(args):
        client = RawClient(args, b"old")  # type: ignore[arg-type]
        client.send([" ".join("abcdefghij")])
        np.testing.assert_allclose(client.vectors()[1], expected([" ".join("abcdefghij")], 8), atol=1e-6)
        client.close()


def test_faults_are_raised_where_they_are_waited_for(model_dir: Path) -> None:
    with pytest.raises(BertFtError, match="lack model_dir"):
        BertServer(argparse.Namespace(port=1))
    with pytest.raises(BertFtError, match="out of range"):
        BertServer(get_args_parser().parse_args(flags(model_dir, "-pooling_layer", "9"))).start()
    server = BertServer(get_args_parser().parse_args(flags(model_dir, "-engine_option", "fail=no weights")))
    server.start()
    with pytest.raises(BertFtError, match="no weights"):
        server.is_ready.wait(20)
    assert not server.is_ready.is_set()
    server.join(10)


def test_legacy_defaults_and_names() -> None:
    args = get_args_parser().parse_args(["-model_dir", "x"])
    legacy = {
        "tuned_model_dir": None,
        "ckpt_name": "bert_model.ckpt",
        "config_name": "bert_config.json",
        "graph_tmp_dir": None,
        "do_lower_case": True,
        "pooling_strategy": PoolingStrategy.REDUCE_MEAN,
        "mask_cls_sep": False,
        "no_special_token": False,
        "show_tokens_to_client": False,
        "no_position_embeddings": False,
        "port": 5555,
        "port_out": 5556,
        "http_port": None,
        "http_max_connect": 10,
        "cors": "*",
        "num_worker": 1,
        "max_batch_size": 256,
        "priority_batch_size": 16,
        "cpu": False,
        "xla": False,
        "fp16": False,
        "gpu_memory_fraction": 0.5,
        "prefetch_size": 10,
        "fixed_embed_length": False,
        "verbose": False,
    }
    assert {name: getattr(args, name) for name in legacy} == legacy
    assert (list(args.pooling_layer), list(args.device_map)) == ([-2], [])


def test_every_legacy_flag_is_understood() -> None:
    line = (
        "-model_dir m -tuned_model_dir t -ckpt_name c -config_name j -graph_tmp_dir g -max_seq_len none "
        "-cased_tokenization -pooling_layer -4 -3 -pooling_strategy CLS_TOKEN -mask_cls_sep -no_special_token "
        "-show_tokens_to_client -no_position_embeddings -num_labels 3 -port_in 1 -port_result 2 -http_port 3 "
        "-http_max_connect 4 -cors here -num_worker 5 -max_batch_size 6 -priority_batch_size 7 -cpu -xla -fp16 "
        "-gpu_memory_fraction 0.25 -device_map 0 1 -prefetch_size 8 -fixed_embed_length -verbose"
    )
    for text in (line, line.replace(" -", " --").replace("--4", "-4").replace("--3", "-3")):
        args = get_args_parser().parse_args(text.split())
        assert args.max_seq_len is None
        assert args.do_lower_case is False
        assert args.pooling_strategy is PoolingStrategy.FIRST_TOKEN
        assert (args.port, args.port_out, args.http_port) == (1, 2, 3)
        assert (list(args.pooling_layer), list(args.device_map)) == ([-4, -3], [0, 1])
        assert args.cpu
        assert args.verbose
        assert args.gpu_memory_fraction == 0.25


@pytest.mark.parametrize("text", ["", "-model_dir", "-model_dir x -max_seq_len 2", "-model_dir x -zzz"])
def test_parser_exits_like_argparse(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        get_args_parser().parse_args(text.split())
    assert exit_.value.code == 2
    assert capsys.readouterr().err.count("\n") == 1
