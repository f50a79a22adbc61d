"""A Hugging Face BERT with mean pooling as an ONNX file of any batch size and length.

Usage: python export_onnx.py FOLDER OUT.onnx

Inputs: ids and mask, int64 [B, L]; output: vectors, float32 [B, hidden].
"""

from __future__ import annotations

import sys

import torch
import transformers


class Pooled(torch.nn.Module):
    def __init__(self, folder: str) -> None:
        super().__init__()
        self.bert = transformers.BertModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation="eager")

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        hidden = self.bert(input_ids=ids, attention_mask=mask).last_hidden_state
        weights = mask[:, :, None].float()
        return (hidden * weights).sum(dim=1) / weights.sum(dim=1)


folder, target = sys.argv[1:]
example = torch.randint(5, 90, (3, 17))
sizes = {0: "batch", 1: "length"}
# not dynamo: onnxruntime's optimiser finds no attention in the graphs of the newer exporter
torch.onnx.export(
    Pooled(folder).eval(), (example, torch.ones_like(example)), target, input_names=["ids", "mask"],
    output_names=["vectors"], dynamic_axes={"ids": sizes, "mask": sizes, "vectors": {0: "batch"}}, dynamo=False,
    opset_version=17,
)  # fmt: skip
