"""The project's own client against the server."""

from __future__ import annotations

import numpy as np
import pytest
from bert_serving.client import BertClient

from tests.server.support import RunningServer, StartServer, expected, random_texts


@pytest.fixture(scope="module")
def server(start_server: StartServer) -> RunningServer:
    return start_server("-show_tokens_to_client", "-max_seq_len", "12")


def test_encode(server: RunningServer) -> None:
    texts = random_texts(np.random.default_rng(5), 600, 10)
    with BertClient(port=server.port, port_out=server.port_out) as client:
        vectors, tokens = client.encode(texts, show_tokens=True)
        np.testing.assert_allclose(vectors, expected(texts), atol=1e-5)
        assert tokens == [["[CLS]", *text.split(), "[SEP]"] for text in texts]
        assert client.server_config["max_seq_len"] == 12
        assert client.server_status["statistic"]["num_data_request"] >= 1


def test_many_requests_at_once(server: RunningServer) -> None:
    with BertClient(port=server.port, port_out=server.port_out, ignore_all_checks=True) as client:
        batches = [[f"a {letter}"] * (1 + number % 3) for number, letter in enumerate("bcdefghij" * 40)]
        for batch in batches:
            client.encode(batch, blocking=False)
        vectors = client.fetch_all(sort=True)
    assert vectors is not None
    assert len(vectors) == len(batches)
    for vectors_of_batch, batch in zip(vectors, batches, strict=True):
        np.testing.assert_allclose(vectors_of_batch, expected(batch), atol=1e-6)
