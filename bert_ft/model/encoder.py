"""The one encoder: BERT on packed tokens (Devlin et al. 2018, arXiv:1810.04805, with Google's numerical details).

Every matrix product runs on [T, hidden]; only attention looks at sequences, through a padded view of the batch.
Dense inputs keep rank 2 and biases go through ``tf.nn.bias_add``: only then does oneDNN fuse MatMul, BiasAdd and GELU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from bert_ft.checkpoint.config import BertConfig
from bert_ft.checkpoint.variables import layer_scope
from bert_ft.model.attention import AttentionLayout, attention_context
from bert_ft.model.backend import tf
from bert_ft.model.dropout import Dropout
from bert_ft.model.layer_norm import layer_norm
from bert_ft.model.tensors import PackedTensors


class LayerWeights(NamedTuple):
    """One encoder layer, ready to multiply: query, key and value side by side."""

    qkv_kernel: Any
    qkv_bias: Any
    attention_kernel: Any
    attention_bias: Any
    attention_gamma: Any
    attention_beta: Any
    intermediate_kernel: Any
    intermediate_bias: Any
    output_kernel: Any
    output_bias: Any
    output_gamma: Any
    output_beta: Any


class EmbeddingWeights(NamedTuple):
    """The embedding tables and their LayerNorm; ``position`` is None for a model run without position embeddings."""

    word: Any
    position: Any | None
    token_type: Any
    gamma: Any
    beta: Any


def embedding_weights(weights: Mapping[str, Any], with_positions: bool = True) -> EmbeddingWeights:
    def get(name: str) -> Any:
        return weights[f"bert/embeddings/{name}"]

    return EmbeddingWeights(
        get("word_embeddings"),
        get("position_embeddings") if with_positions else None,
        get("token_type_embeddings"),
        get("LayerNorm/gamma"),
        get("LayerNorm/beta"),
    )


def layer_weights(weights: Mapping[str, Any], layer: int) -> LayerWeights:
    """Gather one layer's variables by Google's names; differentiable, so that training can call it in its graph."""
    scope = layer_scope(layer)

    def get(name: str) -> Any:
        return tf.convert_to_tensor(weights[f"{scope}/{name}"])

    def joined(part: str) -> Any:
        return tf.concat([get(f"attention/self/{name}/{part}") for name in ("query", "key", "value")], axis=-1)

    return LayerWeights(
        joined("kernel"),
        joined("bias"),
        get("attention/output/dense/kernel"),
        get("attention/output/dense/bias"),
        get("attention/output/LayerNorm/gamma"),
        get("attention/output/LayerNorm/beta"),
        get("intermediate/dense/kernel"),
        get("intermediate/dense/bias"),
        get("output/dense/kernel"),
        get("output/dense/bias"),
        get("output/LayerNorm/gamma"),
        get("output/LayerNorm/beta"),
    )


def encode(
    embeddings: EmbeddingWeights,
    layers: Sequence[LayerWeights],
    config: BertConfig,
    batch: PackedTensors,
    dropout: Dropout | None = None,
    norm: Callable[[Any, Any, Any], Any] = layer_norm,
) -> list[Any]:
    """Run the layers given, and no others.

    Args:
        batch: T tokens of B sequences.
        dropout: None outside training.
        norm: LayerNorm of x, gamma and beta.

    Returns:
        the output of each layer in order, [T, hidden] in the dtype of the weights.
    """
    drop = dropout or _no_dropout
    activation = activation_function(config.hidden_act)
    layout = AttentionLayout.of(batch)
    # One T in the whole graph: only then TensorFlow sees that residual adds broadcast nothing, and fuses them.
    ids, segments, positions, to_packed = tf.unstack(
        tf.stack([batch.ids, batch.segments, batch.positions, layout.to_packed]), num=4
    )
    layout = layout._replace(to_packed=to_packed)

    x = tf.gather(embeddings.word, ids) + tf.gather(embeddings.token_type, segments)
    if embeddings.position is not None:
        x += tf.gather(embeddings.position, positions)
    x = drop(norm(x, embeddings.gamma, embeddings.beta), config.hidden_dropout_prob)

    outputs = []
    for w in layers:
        qkv = dense(x, w.qkv_kernel, w.qkv_bias)
        context = attention_context(
            qkv, layout, config.num_attention_heads, lambda p: drop(p, config.attention_probs_dropout_prob)
        )
        attended = drop(dense(context, w.attention_kernel, w.attention_bias), config.hidden_dropout_prob)
        x = norm(attended + x, w.attention_gamma, w.attention_beta)
        inner = activation(dense(x, w.intermediate_kernel, w.intermediate_bias))
        output = drop(dense(inner, w.output_kernel, w.output_bias), config.hidden_dropout_prob)
        x = norm(output + x, w.output_gamma, w.output_beta)
        outputs.append(x)
    return outputs


def dense(x: Any, kernel: Any, bias: Any) -> Any:
    return tf.nn.bias_add(tf.matmul(x, kernel), bias)


def activation_function(name: str) -> Callable[[Any], Any]:
    """``hidden_act``: "gelu" is the exact erf form, as in bert-as-service and Hugging Face (arXiv:1606.08415)."""
    if name in ("gelu_tanh", "gelu_new"):
        return lambda x: tf.nn.gelu(x, approximate=True)
    if name == "gelu":
        return lambda x: tf.nn.gelu(x, approximate=False)
    return {"relu": tf.nn.relu, "tanh": tf.tanh, "linear": tf.identity}[name]


def _no_dropout(x: Any, rate: float) -> Any:
    return x
