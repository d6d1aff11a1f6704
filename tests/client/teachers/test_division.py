"""Whatever an endpoint refuses and however little it takes at once, each item gets its own answer."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from client.api import APIStatusError, BadRequestError, InternalServerError, TextInput
from client.teachers.division import Divider
from client.teachers.outcomes import make_unit
from shared.wire import ItemError


def refuse(status: int) -> APIStatusError:
    kind = InternalServerError if status >= 500 else BadRequestError
    return kind("refused", status_code=status, headers={}, problem=None, request_id=None)


@given(
    count=st.integers(0, 70),
    bad=st.dictionaries(st.integers(0, 69), st.sampled_from([400, 413, 415, 422, 500])),
    limit=st.integers(1, 80),
    refusal=st.sampled_from([413, 422]),
)
def test_each_item_is_answered_in_its_place(
    count: int, bad: dict[int, int], limit: int, refusal: int
) -> None:
    sent: list[int] = []

    def ask(items):
        numbers = [int(item.text) for item in items]
        sent.append(len(numbers))
        if len(numbers) > limit:
            raise refuse(refusal)
        for number in numbers:
            if number in bad:
                raise refuse(bad[number])
        return [make_unit(np.array([1.0, number], dtype=np.float32)) for number in numbers]

    divider = Divider(ask, works=lambda: True)
    for _ in range(2):
        outcomes = divider.embed([TextInput(str(number)) for number in range(count)])
        assert len(outcomes) == count
        for number, outcome in enumerate(outcomes):
            assert isinstance(outcome, ItemError) == (number in bad)
            if not isinstance(outcome, ItemError):
                assert abs(outcome[1] / outcome[0] - number) < 1e-3
    if not bad and count:
        # What is learned keeps the second time free of refusals, and halves too far by no more.
        assert divider.most >= min(limit, 2048) // 2
        assert max(sent[-((count + divider.most - 1) // divider.most) :]) <= limit
