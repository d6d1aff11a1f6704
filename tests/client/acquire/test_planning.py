"""A quote's requests are made one at a time, and what is left of them is always known."""

from client.acquire import Wants, make_quote
from client.acquire.planning import Plan
from client.budget import Journal
from shared.wire import ModelDocument
from tests.client.shop import RUN, Shop
from tests.client.standin import IMAGE_NANOUSD, TEXT_NANOUSD


class CountingJournal(Journal):
    """Counts the keys that it is asked about."""

    asked = 0

    def is_spent(self, key: str) -> bool:
        self.asked += 1
        return super().is_spent(key)


def make_plan(shop: Shop, *, images: int, texts: int = 0) -> tuple[Plan, CountingJournal]:
    shop.add_images(images)
    shop.add_texts(*(f"text {number}" for number in range(texts)))
    journal = CountingJournal(shop.store.database)
    quote = make_quote(
        Wants("training", shop.images, shop.texts),
        ModelDocument.model_validate(shop.vendor.model_document()),
        store=shop.store,
        journal=journal,
        run=RUN,
    )
    return Plan(quote, journal, "renderer"), journal


def test_a_request_is_made_when_it_is_taken_and_not_before(shop: Shop) -> None:
    plan, journal = make_plan(shop, images=64 * 5)
    assert journal.asked == 0
    plan.take()
    assert journal.asked == 1


def test_texts_come_first_and_every_item_once_in_order(shop: Shop) -> None:
    plan, _ = make_plan(shop, images=100, texts=3)
    taken = list(iter(plan.take, None))
    assert [planned.batch.modality for planned in taken] == ["text", "image", "image"]
    digests = [digest for planned in taken[1:] for digest in planned.batch.digests]
    assert digests == sorted(shop.images)
    assert plan.take() is None
    assert (plan.items_left, plan.cost_left_nanousd) == (0, 0)


def test_what_is_left_counts_what_was_put_back_and_cut(shop: Shop) -> None:
    plan, _ = make_plan(shop, images=70, texts=2)
    whole = 70 * IMAGE_NANOUSD + 2 * TEXT_NANOUSD
    assert (plan.items_left, plan.cost_left_nanousd) == (72, whole)
    texts = plan.take()
    assert texts is not None
    plan.put_back(texts)
    assert (plan.items_left, plan.cost_left_nanousd) == (72, whole)
    assert plan.take() == texts
    images = plan.take()
    assert images is not None
    part = plan.cut(images, 10)
    assert part.batch.digests == images.batch.digests[:10]
    assert plan.items_left == 60
    assert plan.cost_left_nanousd == 60 * IMAGE_NANOUSD
    rest = plan.take()
    assert rest is not None
    assert rest.batch.digests == images.batch.digests[10:]
    assert len({p.batch.idempotency_key for p in (images, part, rest)}) == 3


def test_a_cut_can_be_undone(shop: Shop) -> None:
    plan, _ = make_plan(shop, images=5)
    whole = plan.take()
    assert whole is not None
    before = (plan.items_left, plan.cost_left_nanousd)
    part = plan.cut(whole, 1)
    assert plan.rejoin(part, whole) is whole
    assert (plan.items_left, plan.cost_left_nanousd) == before


def test_a_size_is_what_travels(shop: Shop) -> None:
    plan, _ = make_plan(shop, images=2)
    planned = plan.take()
    assert planned is not None
    files = [shop.images[digest].stat().st_size for digest in planned.batch.digests]
    assert planned.size == sum(-(-size // 3) * 4 for size in files)
