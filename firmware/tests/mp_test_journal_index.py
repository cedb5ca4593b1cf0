"""The index of segments: what it finds is what a walk over all of them finds, and it looks at few."""

import gc
import random
import sys

from meter_firmware.journal_index import Index, Segment

EPOCHS = (b"epoch--A", b"epoch--B", b"epoch--C", b"epoch--D")


def first_of(segments):
    return segments[0] if segments else None


def check(index, segments):
    assert list(index) == segments
    assert len(index) == len(segments)
    assert index.newest == (segments[-1] if segments else None)
    epochs = []
    for segment in segments:
        if segment.epoch not in epochs:
            epochs.append(segment.epoch)
    assert index.epochs() == epochs
    oldest = [first_of([segment for segment in segments if segment.epoch == epoch]) for epoch in epochs]
    assert list(index.oldest_of_each_epoch()) == oldest
    for epoch in EPOCHS:
        own = [segment for segment in segments if segment.epoch == epoch]
        assert index.last_of(epoch) == (own[-1].last if own else None)
        for sequence in range(-1, 60, 3):
            found = [segment for segment in own if segment.first <= sequence <= segment.last]
            assert index.find(epoch, sequence) == first_of(found)
            following = first_of([segment for segment in own if segment.last >= sequence])
            number = following.number if following else (own[-1].number + 1 if own else 0)
            assert index.number_from(epoch, sequence) == number
    for number in range(40):
        following = [segment for segment in segments if segment.number >= number]
        assert index.from_number(number) == first_of(following)


def test_it_finds_what_a_walk_finds():
    random.seed(20261124)
    for _ in range(12):
        index, segments = Index(), []
        number, epoch, last = 0, 0, -1
        for _ in range(18):
            number += random.choice((1, 1, 1, 2, 5))
            if epoch + 1 < len(EPOCHS) and random.randrange(6) == 0:
                epoch, last = epoch + 1, -1
            # Where records were lost there are gaps.
            first = last + random.choice((1, 1, 1, 4))
            last = first + random.randrange(0, 4)
            segments.append(Segment(number, EPOCHS[epoch], first, last, 100))
            index.add(segments[-1])
            if random.randrange(3) == 0:
                last += 1
                segments[-1] = Segment(number, EPOCHS[epoch], first, last, 200)
                index.add(segments[-1])
        check(index, segments)
        while segments:
            removed = segments.pop(random.choice((0, 0, random.randrange(len(segments)))))
            assert index.remove(removed.number) == removed
            assert index.remove(removed.number) is None
            check(index, segments)


class Watched:
    """The index's list, counting what is looked at."""

    def __init__(self):
        self._list = []
        self.looked_at = 0

    def __getitem__(self, position):
        self.looked_at += 1
        return self._list[position]

    def __delitem__(self, position):
        del self._list[position]

    def __len__(self):
        return len(self._list)

    def append(self, segment):
        self._list.append(segment)


def test_it_looks_at_a_few_of_a_thousand():
    index = Index()
    watched = index._segments = Watched()
    for number in range(1024):
        index.add(Segment(number, EPOCHS[number // 400], number % 400 * 10, number % 400 * 10 + 9, 16384))
    for look in (
        lambda: index.find(EPOCHS[1], 3995),
        lambda: index.find(EPOCHS[0], 5),
        lambda: index.from_number(777),
        lambda: index.number_from(EPOCHS[2], 1003),
        lambda: index.last_of(EPOCHS[0]),
        lambda: index.remove(500),
    ):
        watched.looked_at = 0
        assert look() is not None
        assert 0 < watched.looked_at <= 40, watched.looked_at


def test_an_entry_takes_nine_words_and_a_place_in_the_list():
    word = 8 if sys.maxsize > 1 << 32 else 4
    index = Index()
    for number in range(1024):
        index.add(Segment(number, EPOCHS[0], number * 40, number * 40 + 39, 16384))
    gc.collect()
    before = gc.mem_alloc()
    for _ in range(1000):
        index.remove(index[0].number)
    gc.collect()
    freed_words = (before - gc.mem_alloc()) // word // 1000
    assert freed_words <= 9, freed_words
