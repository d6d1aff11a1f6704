"""CLIP behind LitServe, as its own image benchmark does it: a pool decodes, a batch is computed.

python litserve_app.py FOLDER PORT BATCH
"""

import base64
import io
import sys
from concurrent.futures import ThreadPoolExecutor

import litserve  # type: ignore[import-not-found]
import open_clip
import torch
from fastapi import Request
from PIL import Image


class Clip(litserve.LitAPI):  # type: ignore[misc]
    """Images in base64, vectors as lists of floats."""

    def setup(self, device: str) -> None:
        """Load the model."""
        model, _, self.transform = open_clip.create_model_and_transforms(f"local-dir:{sys.argv[1]}")
        self.model = model.to(device).eval()
        self.pool = ThreadPoolExecutor(2)

    def decode_request(self, request: Request) -> bytes:
        """The file; LitServe reads the annotation and then passes the parsed JSON."""
        return base64.b64decode(request["image_data"])

    def batch(self, inputs: list[bytes]) -> torch.Tensor:
        """Decoded side by side."""
        return torch.stack(list(self.pool.map(self._draw, inputs)))

    def _draw(self, data: bytes) -> torch.Tensor:
        drawn: torch.Tensor = self.transform(Image.open(io.BytesIO(data)))
        return drawn

    def predict(self, batch: torch.Tensor) -> torch.Tensor:
        """float32[n, d]."""
        with torch.inference_mode():
            vectors: torch.Tensor = self.model.encode_image(batch, normalize=True)
        return vectors

    def unbatch(self, output: torch.Tensor) -> list[torch.Tensor]:
        """One each."""
        return list(output)

    def encode_response(self, output: torch.Tensor) -> dict[str, list[float]]:
        """As JSON."""
        return {"embedding": output.tolist()}


if __name__ == "__main__":
    api = Clip(max_batch_size=int(sys.argv[3]), batch_timeout=0.005)
    server = litserve.LitServer(api, accelerator="cpu", workers_per_device=1, fast_queue=True)
    server.run(host="127.0.0.1", port=int(sys.argv[2]), generate_client_file=False)
