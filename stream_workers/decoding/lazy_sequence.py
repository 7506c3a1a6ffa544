"""A sequence that builds its items on access."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar, overload

Item_co = TypeVar("Item_co", covariant=True)


class LazySequence(Sequence[Item_co]):
    """Subclasses define the length, and build one item."""

    __slots__ = ()

    @abstractmethod
    def _make(self, at: int) -> Item_co:
        """The item at *at*, which exists and is not negative."""

    @overload
    def __getitem__(self, at: int) -> Item_co: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Item_co]: ...
    def __getitem__(self, at: int | slice) -> Item_co | Sequence[Item_co]:
        selected = range(len(self))[at]
        return self._make(selected) if isinstance(selected, int) else [self._make(index) for index in selected]
