"""A sequence whose items are made when somebody asks for them."""

from abc import abstractmethod
from collections.abc import Sequence
from typing import TypeVar, overload

Item_co = TypeVar("Item_co", covariant=True)


class OnDemand(Sequence[Item_co]):
    """Subclasses know their length, and make one item."""

    __slots__ = ()

    @abstractmethod
    def _make(self, at: int) -> Item_co:
        """The item at *at*, which is there and not negative."""

    @overload
    def __getitem__(self, at: int) -> Item_co: ...
    @overload
    def __getitem__(self, at: slice) -> Sequence[Item_co]: ...
    def __getitem__(self, at: int | slice) -> Item_co | Sequence[Item_co]:
        places = range(len(self))[at]
        return self._make(places) if isinstance(places, int) else [self._make(place) for place in places]
