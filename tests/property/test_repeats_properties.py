"""Chunks, acks, losses and resends in any order: each chunk is fed once, whatever its id."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fluent_krone.config import Config
from fluent_krone.runtime.repeats import Repeats
from fluent_krone.runtime.storage import Storage
from fluent_krone.runtime.store import Store
from fluent_krone.transport.forward import Chunk


@dataclass(eq=False)
class Link:
    """A connection with at most one chunk on it, as Fluent Bit's and Fluentd's are."""

    is_open: bool = True
    went_on: bool = False
    acked: bool = False
    # What the input tells once the connection has ended.
    closed_in_order: bool = False

    def has_ack(self) -> bool | None:
        if self.acked and (self.went_on or self.closed_in_order):
            return True
        if self.is_open:
            return None
        return False


@dataclass(eq=False)
class Sent:
    """One chunk of a sender, with the connection that it is on now."""

    chunk: Chunk
    link: Link | None = None
    done: bool = False


@dataclass
class World:
    """Senders and a server; `store` None: the server remembers in memory."""

    path: Path | None
    # Feeds since the last commit, which a kill takes back, and committed ones. They are counted by
    # content: it does not matter which of two equal chunks was fed for the other.
    fed: Counter[Chunk] = field(default_factory=Counter)
    committed: Counter[Chunk] = field(default_factory=Counter)
    # Chunks whose ack was received though the server could not know it: their connection ended
    # first. The next equal chunk may count as a repeat of each.
    ambiguous: Counter[Chunk] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.pending: list[tuple[Sent, Link]] = []
        # Links that went on since the last commit: a kill loses that.
        self.fresh_news: list[tuple[Sent, Link]] = []
        self.start()

    def start(self) -> None:
        self.store = None
        if self.path is not None:
            self.store = Store(self.path)
        self.storage = Storage(self.store, Config())
        self.repeats = Repeats(self.storage)

    def arrive(self, sent: Sent) -> None:
        assert sent.link is not None
        if not self.repeats.is_repeat(sent.chunk, sent.link):
            self.fed[sent.chunk] += 1
        self.pending.append((sent, sent.link))

    def commit(self, lose_acks: bool) -> None:
        chunks, arrived = self.repeats.hand_over()
        self.storage.write({}, chunks, arrived, [], 0.0)
        self.committed += self.fed
        self.fed.clear()
        self.fresh_news.clear()
        for sent, link in self.pending:
            if link.is_open:
                link.acked = True
                if not lose_acks and sent.link is link:
                    sent.done = True
        self.pending.clear()

    def kill(self, links: list[Link], sents: list[Sent]) -> None:
        for sent in sents:
            unknown = sent.done and sent.link is not None and sent.link.is_open
            if unknown and sent.link is not None and not sent.link.went_on:
                self.ambiguous[sent.chunk] += 1
        for sent, _ in self.fresh_news:
            self.ambiguous[sent.chunk] += 1
        self.fresh_news.clear()
        for link in links:
            link.is_open = False
        self.pending.clear()
        self.fed.clear()
        if self.store is not None:
            self.store.close()
        self.start()


DIGESTS = [f"{n:0128x}" for n in (1, 2)]
contents = st.builds(
    lambda tag, digest: Chunk(tag, b"x", digest, has_digest_id=True),
    st.sampled_from(["a", "b"]),
    st.sampled_from(DIGESTS),
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("send"), contents),
        st.tuples(st.sampled_from(["resend", "go on", "fail", "close"]), st.integers(0, 20)),
        st.tuples(st.just("commit"), st.booleans()),
        st.tuples(st.just("kill"), st.none()),
    ),
    max_size=40,
)


def play(world: World, story: list[tuple[str, object]], *, kills: bool) -> list[Sent]:
    sents: list[Sent] = []
    links: list[Link] = []

    def put(sent: Sent, link: Link | None = None) -> None:
        if link is None:
            link = Link()
            links.append(link)
        sent.link = link
        world.arrive(sent)

    def new_sent(chunk: Chunk) -> Sent:
        sents.append(Sent(chunk))
        return sents[-1]

    for step, value in story:
        if step == "send":
            assert isinstance(value, Chunk)
            put(new_sent(value))
        elif step == "commit":
            world.commit(lose_acks=bool(value))
        elif step == "kill":
            if kills:
                world.kill(links, sents)
        elif sents:
            assert isinstance(value, int)
            sent = sents[value % len(sents)]
            link = sent.link
            assert link is not None
            if step == "resend" and not sent.done:
                link.is_open = False
                put(sent)
            elif step == "go on" and sent.done and link.is_open and not link.went_on:
                link.went_on = True
                world.fresh_news.append((sent, link))
            elif step == "fail" and link.is_open:
                link.is_open = False
                if sent.done and not link.went_on:
                    world.ambiguous[sent.chunk] += 1
            elif step == "close" and sent.done and link.is_open:
                link.is_open = False
                link.closed_in_order = True
                if not link.went_on:
                    world.fresh_news.append((sent, link))
    # Every sender tries until it has its ack.
    for sent in sents:
        while not sent.done:
            assert sent.link is not None
            sent.link.is_open = False
            put(sent)
            world.commit(lose_acks=False)
    if world.store is not None:
        world.store.close()
    return sents


@pytest.mark.parametrize("with_store", [True, False])
@settings(deadline=None, max_examples=150)
@given(story=steps)
def test_equal_chunks_are_each_fed_once(with_store: bool, story: list[tuple[str, object]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = None
        if with_store:
            path = Path(folder) / "krone.db"
        world = World(path)
        sents = play(world, story, kills=with_store)
    for chunk, count in Counter(sent.chunk for sent in sents).items():
        # Nothing was left out but what could not be told from a chunk that was sent again.
        assert count - world.ambiguous[chunk] <= world.committed[chunk] <= count


@settings(deadline=None, max_examples=100)
@given(story=steps)
def test_random_ids_are_exactly_once_over_kills(story: list[tuple[str, object]]) -> None:
    """As today: whatever is lost between the two, a chunk with an id of its own is fed once."""
    numbered: list[tuple[str, object]] = []
    for place, (step, value) in enumerate(story):
        if isinstance(value, Chunk):
            value = Chunk(value.tag, value.entries, f"unique {place}")
        numbered.append((step, value))
    with tempfile.TemporaryDirectory() as folder:
        world = World(Path(folder) / "krone.db")
        sents = play(world, numbered, kills=True)
    assert world.committed == Counter(sent.chunk for sent in sents)
