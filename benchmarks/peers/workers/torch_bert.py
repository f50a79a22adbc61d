"""transformers' BertModel on torch; a size is the number of texts of a padded batch."""

from __future__ import annotations

import numpy as np
import torch
import transformers
from loop import inputs, padded_batches, serve, specification


def main() -> None:
    spec = specification()
    torch.set_num_threads(spec["threads"])
    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[spec["precision"]]
    model = transformers.BertModel.from_pretrained(spec["huggingface"], add_pooling_layer=False).to(dtype).eval()
    texts = inputs(spec)

    @torch.inference_mode()
    def run(size: str, prepared: list) -> list[np.ndarray]:
        return [_mean(model, torch.from_numpy(ids), torch.from_numpy(mask)).numpy() for ids, mask in prepared]

    versions = f"torch {torch.__version__}, transformers {transformers.__version__}"
    serve(versions, {size: padded_batches(texts, int(size)) for size in spec["sizes"]}, run)


def _mean(model: torch.nn.Module, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state.float()
    weights = mask[:, :, None].float()
    return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


main()
