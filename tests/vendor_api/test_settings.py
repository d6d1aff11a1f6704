"""Settings come from VENDOR_* and are checked at once."""

import pytest
from pydantic import ValidationError

from vendor_api.settings import VendorSettings


def test_defaults_serve_only_this_machine():
    settings = VendorSettings()
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.database_url == "sqlite:///./vendor.db"
    assert settings.models == ()


def test_models_are_a_comma_separated_list(monkeypatch):
    monkeypatch.setenv("VENDOR_MODELS", "icon-clip=local-dir:/m, ViT-B-32/openai ,")
    assert VendorSettings().models == ("icon-clip=local-dir:/m", "ViT-B-32/openai")
    assert VendorSettings(models=("a/b",)).models == ("a/b",)


@pytest.mark.parametrize("port", ["-1", "65536", "http"])
def test_a_port_that_is_none_is_refused(monkeypatch, port):
    monkeypatch.setenv("VENDOR_PORT", port)
    with pytest.raises(ValidationError):
        VendorSettings()


def test_a_redis_address_is_checked_and_may_be_empty(monkeypatch):
    for given, found in (("", None), ("redis://r:6379/0", "redis://r:6379/0")):
        monkeypatch.setenv("VENDOR_REDIS_URL", given)
        assert VendorSettings().redis_url == found
    monkeypatch.setenv("VENDOR_REDIS_URL", "r:6379")
    with pytest.raises(ValidationError, match="write it like redis://"):
        VendorSettings()
