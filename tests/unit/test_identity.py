import pytest
from hypothesis import given
from hypothesis import strategies as st

from fleet.identity import canonical_json, content_id

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), values))
def test_order_of_keys_does_not_matter(content: dict[str, object]) -> None:
    turned = dict(reversed(content.items()))
    assert content_id("trial", content) == content_id("trial", turned)


@given(values, values)
def test_equal_text_means_equal_value(one: object, other: object) -> None:
    if canonical_json(one) == canonical_json(other):
        assert content_id("x", one) == content_id("x", other)
    else:
        assert content_id("x", one) != content_id("x", other)


def test_the_tag_is_part_of_the_identity() -> None:
    assert content_id("trial", {}).startswith("trial-")
    assert content_id("trial", {})[6:] != content_id("machine", {})[8:]


def test_a_float_that_is_whole_is_that_integer_and_true_is_not_one() -> None:
    assert canonical_json({"a": 1.0}) == canonical_json({"a": 1})
    assert canonical_json(True) != canonical_json(1)


def test_what_has_no_canonical_form_is_refused() -> None:
    with pytest.raises(TypeError, match="set has no canonical form"):
        canonical_json({"a": {1, 2}})
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))
