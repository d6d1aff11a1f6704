"""Whatever computes vectors: the seam, the batcher that feeds a model, and open_clip behind it."""

from vendor_api.engine.base import Engine, EngineUnavailable, ItemFailure, Model, ModelInfo
from vendor_api.engine.batcher import Batcher

__all__ = ["Batcher", "Engine", "EngineUnavailable", "ItemFailure", "Model", "ModelInfo"]
