"""Templates of new messages, found while they come."""

from __future__ import annotations

from fluent_krone.reading.newforms import MOST_FORMS, NO_FORM, NewForms


def test_values_make_no_new_template() -> None:
    forms = NewForms(None)
    texts = [f"saved {n} bytes of session 8fe3a{n}c2b7d41 in {n} ms".encode() for n in range(20)]
    assert {forms.number(text) for text in texts} == {0}
    assert forms.text(0) == "saved <num> bytes of session <hex> in <num> ms"


def test_the_session_key_is_a_value_whatever_it_looks_like() -> None:
    forms = NewForms("ride=([a-z]+)")
    assert forms.number(b"doors of ride=anna shut") == forms.number(b"doors of ride=bob shut")


def test_two_steps_that_differ_in_a_word_stay_two_and_three_values_become_one() -> None:
    forms = NewForms(None)
    assert forms.number(b"receipt for order 7 signed") != forms.number(b"return for order 7 signed")
    first = [forms.number(f"label for {who} printed".encode()) for who in ("dhl", "ups")]
    assert first[0] != first[1]
    assert forms.number(b"label for gls printed") == first[0]
    assert forms.number(b"label for a-carrier printed") == first[0]
    assert forms.number(b"label for ups printed") == forms.whole(first[1]) == first[0]
    assert forms.text(first[0]) == "label for <*> printed"


def test_what_happened_is_no_value() -> None:
    forms = NewForms(None)
    texts = [f"a b c d event={name} user=7".encode() for name in ("made", "sent", "paid", "lost")]
    assert len({forms.number(text) for text in texts}) == 4


def test_there_are_not_more_than_so_many_and_forgetting_makes_room() -> None:
    forms = NewForms(None)
    words = [f"{'abcdefghij'[n // 100]}{'abcdefghij'[n // 10 % 10]}{'abcdefghij'[n % 10]}"
             for n in range(1000)]  # fmt: skip
    numbers = [forms.number(f"{word} {word} {word}".encode()) for word in words]
    assert len(set(numbers)) == MOST_FORMS == len(forms)
    assert forms.number(b"one more") == NO_FORM
    forms.forget(numbers[:10])
    later = forms.number(b"one more")
    assert later != NO_FORM and later not in numbers
    assert forms.number(b"aaa aaa aaa") not in numbers


def test_known_ones_are_found_without_making_new_ones() -> None:
    forms = NewForms(None)
    assert forms.number(b"pump 3 started", only_known=True) == NO_FORM
    number = forms.number(b"pump 3 started")
    assert forms.number(b"pump 4 started", only_known=True) == number
    assert len(forms) == 1


def test_it_goes_on_from_what_was_saved() -> None:
    forms = NewForms(None)
    for who in ("dhl", "ups", "gls"):
        forms.number(f"label for {who} printed".encode())
    forms.number(b"pump 3 started")
    again = NewForms(None)
    again.load(forms.save())
    assert again.save() == forms.save()
    for text in (b"label for dhl printed", b"pump 9 started", b"quite another one"):
        assert again.number(text) == forms.number(text)


def test_a_word_that_the_bundle_has_as_a_value_is_one_in_new_messages_too() -> None:
    templates = [
        "ranked <num> hits by model v<num>",
        "paid amount=<num> currency=<*>",
        "route=eu1 chosen",
        "route=us<num> taken",
    ]
    forms = NewForms(None, templates)
    assert forms.number(b"sorted hits by model v3") == forms.number(b"sorted hits by model v14")
    assert forms.text(0) == "sorted hits by model v<num>"
    assert forms.number(b"booked currency=EUR") == forms.number(b"booked currency=USD")
    # What a person accepted under an earlier bundle is known by its words of now.
    assert forms.add("sorted hits by model v3") == 0
    # A key that some template has with a value of its own may tell steps apart.
    assert forms.number(b"left by route=eu1") != forms.number(b"left by route=us1")


def test_two_words_that_differ_in_their_digits_only_become_one() -> None:
    forms = NewForms(None)
    first = forms.number(b"cache of shard s3 is warm")
    assert forms.number(b"cache of shard s7 is warm") == first
    assert forms.text(first) == "cache of shard s<num> is warm"
    assert forms.folded == []
    assert forms.number(b"cache of shard s12 is warm") == first
    assert forms.number(b"cache of shard main is warm") != first
