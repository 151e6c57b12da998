"""How the bodies of a job's requests are put together: fixed bytes around the texts that differ from row to row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

_encode = msgspec.json.Encoder().encode


class BodyPlan(msgspec.Struct, frozen=True):
    """The body of every request of a job: fixed bytes around JSON texts.

    pieces: one more than there are slots. slots: for each text of the body, the messages whose contents it joins.
    """

    pieces: tuple[bytes, ...]
    slots: tuple[tuple[int, ...], ...]

    def bodies(self, texts: Iterable[Sequence[str]]) -> list[bytes]:
        """For each row the contents of its messages -> body bytes. Raises UnicodeEncodeError for half a surrogate
        pair."""
        if self.slots == ((0,),):
            head, tail = self.pieces
            return [head + _encode(of_row[0]) + tail for of_row in texts]
        return [self._body(of_row) for of_row in texts]

    def _body(self, texts: Sequence[str]) -> bytes:
        parts = [self.pieces[0]]
        for slot, piece in zip(self.slots, self.pieces[1:], strict=True):
            text = texts[slot[0]] if len(slot) == 1 else "\n\n".join([texts[i] for i in slot])
            parts += (_encode(text), piece)
        return b"".join(parts)

    def with_static(self, texts: Mapping[int, str]) -> tuple[BodyPlan, tuple[int, ...]]:
        """The same body with the messages that are the same for every row in place, and the numbers of those left.

        Slots of the new body count the messages that are left. Texts that share a slot with others are left as well.
        Raises UnicodeEncodeError for half a surrogate pair.
        """
        pieces, slots = [self.pieces[0]], []
        for slot, piece in zip(self.slots, self.pieces[1:], strict=True):
            if len(slot) == 1 and slot[0] in texts:
                pieces[-1] += _encode(texts[slot[0]]) + piece
            else:
                pieces.append(piece)
                slots.append(slot)
        left = tuple(sorted({number for slot in slots for number in slot}))
        return BodyPlan(tuple(pieces), tuple(tuple(left.index(n) for n in slot) for slot in slots)), left
